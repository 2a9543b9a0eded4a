"""The OpenAI wire as a tier: OpenAI, and every server that speaks it (vLLM, llama.cpp, Ollama).

Source: OpenAI API reference, "Create chat completion", 2026-11.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from random import SystemRandom
from typing import Any

from stepdown.adapters.models.wire.address import Key, checked_base
from stepdown.adapters.models.wire.chat_answer import ChatReading, read_chat
from stepdown.adapters.models.wire.chat_request import chat_messages, chat_options
from stepdown.adapters.models.wire.hosted import HostedModel
from stepdown.adapters.models.wire.retrying import Sleep
from stepdown.adapters.models.wire.settings import WireSettings
from stepdown.adapters.models.wire.sse import EventParser
from stepdown.core.request import Capabilities, Completion, Request

DEFAULT_BASE = "https://api.openai.com/v1"

# A label set is sent as it is: the wire has no distribution over labels. The context is unknown.
OFFERED = Capabilities(
    vision=True, tools=True, logprobs=True, schema=True, stream=True, wire="openai"
)


class OpenAIModel(HostedModel):
    """Answer through `{base_url}/chat/completions`.

    A hosted model has no file, so its digest covers provider, address, model name and parameters.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str = DEFAULT_BASE,
        api_key: str,
        api_key_env: str = "OPENAI_API_KEY",
        capabilities: Capabilities = OFFERED,
        settings: WireSettings | None = None,
        clock: Callable[[], float] = time.perf_counter,
        jitter: Callable[[], float] = SystemRandom().random,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """Keep the address and the key; nothing is opened before the first call.

        Args:
            model: name of the model on the server.
            base_url: up to and without `/chat/completions`.
            api_key: the key; empty for a server that wants none.
            api_key_env: the variable that the key is from, for messages.
            capabilities: what this model can do, where less than the wire offers.
            settings: limits, waits and retries.
            clock: seconds, for the latency.
            jitter: draws in [0, 1) that spread retries.
            sleep: waits between tries.

        Raises:
            ConfigError: an address or a key that no request can carry.
        """
        base = checked_base(base_url)
        key = Key(api_key, api_key_env)
        super().__init__(
            model=model,
            url=f"{base}/chat/completions",
            key=key,
            headers={"Authorization": f"Bearer {key.reveal()}"} if key else {},
            form=ChatForm(model, at_home=base == DEFAULT_BASE),
            decides=["openai", base, model, {"n": 1}],
            capabilities=capabilities,
            settings=settings,
            clock=clock,
            jitter=jitter,
            sleep=sleep,
        )


class ChatForm:
    """The chat wire; `at_home` is OpenAI itself, whose newer models know `max_tokens` no more."""

    # Without `max_tokens` an answer may be longer, so only its name is changed (see `body`).
    # Without `stream_options` a stream does not say its tokens: its cost is then unknown.
    droppable = frozenset(
        {"temperature", "seed", "logprobs", "top_logprobs", "max_tokens", "stream_options"}
    )

    def __init__(self, model: str, *, at_home: bool) -> None:
        self._model = model
        self._at_home = at_home

    def body(self, request: Request, refused: frozenset[str], *, stream: bool) -> dict[str, Any]:
        """Return the body without what the model refused."""
        body = {"model": self._model, "messages": chat_messages(request), "n": 1}
        body |= chat_options(request)
        body |= self._length(request, refused)
        if self._at_home:
            body["store"] = False  # OpenAI keeps chat completions of new accounts by default
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        if not refused:
            return body
        left_out = refused | {"top_logprobs"} if "logprobs" in refused else refused
        return {name: value for name, value in body.items() if name not in left_out}

    def read(self, data: bytes, request: Request) -> Completion:
        """Return the answer in a whole body."""
        return read_chat(data, request)

    def reading(self, request: Request) -> ChatReading:
        """Return a fresh collector of a stream."""
        return ChatReading(request)

    def parser(self) -> EventParser:
        """Return a fresh cutter of a stream into events."""
        return EventParser()

    def _length(self, request: Request, refused: frozenset[str]) -> dict[str, int]:
        """Name the limit as the server knows it; other servers may not know the new name."""
        if request.max_tokens is None:
            return {}
        is_new = self._at_home or "max_tokens" in refused
        return {"max_completion_tokens" if is_new else "max_tokens": request.max_tokens}
