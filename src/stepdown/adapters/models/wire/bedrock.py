"""Amazon Bedrock's Converse as a tier: signing and event streams by botocore, the rest as ever.

botocore's own client is not used: it blocks, retries by itself, and a call that nobody waits for
any more could not be ended. Sources: Amazon Bedrock API reference, "Converse", "ConverseStream";
AWS General Reference, "Signature Version 4"; read 2026-11.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from random import SystemRandom
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from stepdown.adapters.models.wire.address import Key, checked_base
from stepdown.adapters.models.wire.converse_answer import ConverseReading, read_converse
from stepdown.adapters.models.wire.converse_request import converse_body
from stepdown.adapters.models.wire.hosted import HostedModel, MalformedError
from stepdown.adapters.models.wire.retrying import Sleep
from stepdown.adapters.models.wire.settings import WireSettings
from stepdown.core.request import Capabilities, Completion, Request
from stepdown.errors import ConfigError

if TYPE_CHECKING:
    from botocore.credentials import Credentials

DEFAULT_MAX_TOKENS = 4096  # as on the Anthropic wire: a cut answer is reported as `length`
OFFERED = Capabilities(vision=True, tools=True, stream=True)
SERVICE = "bedrock"


class BedrockModel(HostedModel):
    """Answer through `{base_url}/model/MODEL/converse`.

    With `api_key` (a Bedrock API key) it is sent as it is; without, each request is signed with the
    credentials that botocore finds: environment, `~/.aws`, or the role of the machine.
    """

    def __init__(
        self,
        model: str,
        *,
        region: str,
        base_url: str | None = None,
        api_key: str = "",
        api_key_env: str = "AWS_BEARER_TOKEN_BEDROCK",
        max_tokens: int = DEFAULT_MAX_TOKENS,
        capabilities: Capabilities = OFFERED,
        settings: WireSettings | None = None,
        credentials: Credentials | None = None,
        clock: Callable[[], float] = time.perf_counter,
        jitter: Callable[[], float] = SystemRandom().random,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """Find the credentials; nothing is opened before the first call.

        Args:
            model: model id, inference profile or ARN.
            region: such as `eu-central-1`.
            base_url: another address than the region's, such as a VPC endpoint.
            api_key: a Bedrock API key; empty to sign.
            api_key_env: the variable that the key is from, for messages.
            max_tokens: longest answer when the request does not say, 1 or more.
            capabilities: what this model can do, where less than the wire offers.
            settings: limits, waits and retries.
            credentials: to sign with; None for those that botocore finds.
            clock: seconds, for the latency.
            jitter: draws in [0, 1) that spread retries.
            sleep: waits between tries.

        Raises:
            ConfigError: botocore is not installed, or finds no credentials.
        """
        base = checked_base(base_url or f"https://bedrock-runtime.{region}.amazonaws.com")
        key = Key(api_key, api_key_env)
        url = f"{base}/model/{quote(model, safe='')}/converse"
        signing = None if key else Signing(region, credentials or _credentials(model))
        super().__init__(
            model=model,
            url=url,
            stream_url=f"{url}-stream",
            sign=signing,
            key=key,
            headers={"Authorization": f"Bearer {key.reveal()}"} if key else {},
            form=_Converse(max_tokens),
            decides=["bedrock", base, model, {"max_tokens": max_tokens}],
            capabilities=capabilities,
            settings=settings,
            clock=clock,
            jitter=jitter,
            sleep=sleep,
        )


class Signing:
    """Makes the headers of Signature Version 4 for one body."""

    def __init__(self, region: str, credentials: Credentials) -> None:
        self._region = region
        self._credentials = credentials

    async def __call__(self, url: str, body: bytes) -> Mapping[str, str]:
        """Return the headers, in a thread: credentials of a role are fetched again over HTTP."""
        return await asyncio.to_thread(self._headers, url, body)

    def _headers(self, url: str, body: bytes) -> Mapping[str, str]:
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        asked = AWSRequest("POST", url, {"Content-Type": "application/json"}, body)
        frozen = self._credentials.get_frozen_credentials()
        SigV4Auth(frozen, SERVICE, self._region).add_auth(asked)
        return {name: value for name, value in asked.headers.items() if name != "Content-Type"}


class _Converse:
    """The Converse wire. Its parameters are nested, so none can be left out by its name alone."""

    droppable: frozenset[str] = frozenset()

    def __init__(self, max_tokens: int) -> None:
        self._max_tokens = max_tokens

    def body(self, request: Request, refused: frozenset[str], *, stream: bool) -> dict[str, Any]:
        """Return the body; whether it is streamed stands in the address."""
        return converse_body(request, self._max_tokens)

    def read(self, data: bytes, request: Request) -> Completion:
        """Return the answer in a whole body."""
        return read_converse(data)

    def reading(self, request: Request) -> ConverseReading:
        """Return a fresh collector of a stream."""
        return ConverseReading()

    def parser(self) -> EventStream:
        """Return a fresh cutter of a stream into events."""
        return EventStream()


class EventStream:
    """Cuts `application/vnd.amazon.eventstream` into events, each as `{kind, payload, failed}`."""

    def __init__(self) -> None:
        from botocore.eventstream import EventStreamBuffer, ParserError

        self._buffer = EventStreamBuffer()
        self._broken = ParserError

    def feed(self, piece: bytes) -> list[bytes]:
        """Return the events that this piece completes, in order.

        Raises:
            MalformedError: a checksum or a length is wrong.
        """
        self._buffer.add_data(piece)
        try:
            return [_event(message.headers, message.payload) for message in self._buffer]
        except self._broken as error:
            raise MalformedError(str(error)) from None


def _event(headers: Mapping[str, str], payload: bytes) -> bytes:
    failed = headers.get(":message-type") in ("exception", "error")
    kind = headers.get(":exception-type" if failed else ":event-type", "")
    raw = msgspec.Raw(payload or b"{}")
    return msgspec.json.encode({"kind": kind, "payload": raw, "failed": failed})


def _credentials(model: str) -> Credentials:
    try:
        from botocore.session import Session
    except ImportError:
        raise ConfigError(
            f"The tier of {model!r} needs botocore, which is not installed.",
            'Install it with `pip install "stepdown[bedrock]"`.',
        ) from None
    found = Session().get_credentials()
    if found is None:
        raise ConfigError(
            f"No AWS credentials were found for {model!r}.",
            "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or "
            "AWS_BEARER_TOKEN_BEDROCK; or run where a role is attached.",
        )
    return found
