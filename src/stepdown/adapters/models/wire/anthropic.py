"""The Anthropic wire as a tier.

Source: Anthropic API reference, "Create a Message", version 2023-06-01, read 2026-11.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from random import SystemRandom
from typing import Any

from stepdown.adapters.models.wire.address import Key, checked_base
from stepdown.adapters.models.wire.hosted import HostedModel
from stepdown.adapters.models.wire.messages_answer import MessageReading, read_message
from stepdown.adapters.models.wire.messages_request import message_options, system_text, turns
from stepdown.adapters.models.wire.retrying import Sleep
from stepdown.adapters.models.wire.settings import WireSettings
from stepdown.adapters.models.wire.sse import EventParser
from stepdown.core.request import Capabilities, Completion, Request

DEFAULT_BASE = "https://api.anthropic.com"
VERSION = "2023-06-01"  # the only version of the wire that is still current

# The wire requires a limit. All models since 2024 allow this one, and it is longer than the
# answers of steps that are worth stepping down; a cut answer is reported as `length`.
DEFAULT_MAX_TOKENS = 4096

# No log-probabilities on this wire, and no distribution over labels. The context is unknown.
OFFERED = Capabilities(vision=True, tools=True, schema=True, stream=True, wire="anthropic")


class AnthropicModel(HostedModel):
    """Answer through `{base_url}/v1/messages`.

    A hosted model has no file, so its digest covers provider, address, model name and parameters.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str = DEFAULT_BASE,
        api_key: str,
        api_key_env: str = "ANTHROPIC_API_KEY",
        max_tokens: int = DEFAULT_MAX_TOKENS,
        capabilities: Capabilities = OFFERED,
        settings: WireSettings | None = None,
        clock: Callable[[], float] = time.perf_counter,
        jitter: Callable[[], float] = SystemRandom().random,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """Keep the address and the key; nothing is opened before the first call.

        Args:
            model: name of the model on the server.
            base_url: with or without `/v1` at its end.
            api_key: the key.
            api_key_env: the variable that the key is from, for messages.
            max_tokens: longest answer when the request does not say, 1 or more.
            capabilities: what this model can do, where less than the wire offers.
            settings: limits, waits and retries.
            clock: seconds, for the latency.
            jitter: draws in [0, 1) that spread retries.
            sleep: waits between tries.

        Raises:
            ConfigError: an address or a key that no request can carry.
        """
        base = checked_base(base_url).removesuffix("/v1")
        key = Key(api_key, api_key_env)
        credentials = {"x-api-key": key.reveal()} if key else {}
        super().__init__(
            model=model,
            url=f"{base}/v1/messages",
            key=key,
            headers={"anthropic-version": VERSION, **credentials},
            form=_Messages(model, max_tokens),
            decides=["anthropic", VERSION, base, model, {"max_tokens": max_tokens}],
            capabilities=capabilities,
            settings=settings,
            clock=clock,
            jitter=jitter,
            sleep=sleep,
        )


class _Messages:
    """The messages wire."""

    droppable = frozenset({"temperature"})  # models from 2026 on take none

    def __init__(self, model: str, max_tokens: int) -> None:
        self._model = model
        self._max_tokens = max_tokens

    def body(self, request: Request, refused: frozenset[str], *, stream: bool) -> dict[str, Any]:
        """Return the body without what the model refused."""
        body = {
            "model": self._model,
            "max_tokens": request.max_tokens or self._max_tokens,
            "messages": turns(request),
            **message_options(request),
        }
        system = system_text(request)
        if system:
            body["system"] = system
        if stream:
            body["stream"] = True
        return {name: value for name, value in body.items() if name not in refused}

    def read(self, data: bytes, request: Request) -> Completion:
        """Return the answer in a whole body."""
        return read_message(data)

    def reading(self, request: Request) -> MessageReading:
        """Return a fresh collector of a stream."""
        return MessageReading()

    def parser(self) -> EventParser:
        """Return a fresh cutter of a stream into events."""
        return EventParser()
