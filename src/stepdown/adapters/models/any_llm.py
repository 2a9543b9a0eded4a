"""The long tail of providers through any-llm, which wraps their clients.

No log-probabilities: most of these providers give none. any-llm answers in OpenAI's objects, so
they are read as the OpenAI wire is. The clients beneath it try again by themselves; where any-llm
has the switch, that is off. A call that is given up is cancelled; when its socket closes is the
client's affair. Source: any-llm-sdk 1.40, `AnyLLM.create`, `AnyLLM.acompletion`, `exceptions`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from stepdown.adapters.models.wire.address import Key
from stepdown.adapters.models.wire.chat_answer import ChatReading, read_chat
from stepdown.adapters.models.wire.chat_request import chat_messages, chat_options
from stepdown.adapters.models.wire.failures import Refusal, Said, Translator
from stepdown.adapters.models.wire.hosted import MalformedError, ReportedError
from stepdown.core.digest import digest
from stepdown.core.request import Capabilities, Chunk, Completion, Request
from stepdown.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

OFFERED = Capabilities(vision=True, tools=True, schema=True, stream=True)
LONGEST_S = 600.0  # as the vendors' own clients wait


class AnyModel:
    """Answer through `any_llm.acompletion`."""

    def __init__(
        self,
        name: str,
        *,
        api_key: str = "",
        api_key_env: str = "",
        base_url: str | None = None,
        timeout_s: float = LONGEST_S,
        capabilities: Capabilities = OFFERED,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Keep the names; the package is imported now, so that a missing one is told early.

        Args:
            name: `PROVIDER/MODEL`.
            api_key: empty: any-llm takes the provider's own variable.
            api_key_env: the variable that the key is from, for messages.
            base_url: another address than the provider's.
            timeout_s: longest wait when the caller sets none.
            capabilities: what this model can do, where less than is offered.
            clock: seconds, for the latency.

        Raises:
            ConfigError: the package is missing, or the name has no provider.
        """
        self._provider, slash, self._model = name.partition("/")
        if not slash or not self._provider or not self._model:
            raise ConfigError(f"any-llm:{name} names no provider.", "Write any-llm:PROVIDER/MODEL.")
        key = Key(api_key, api_key_env or "the provider's own variable")
        self._tell = Translator(self._model, self._provider, key)
        self._errors, self._client = _client(self._provider, key.reveal() or None, base_url)
        self._timeout_s = timeout_s
        self._clock = clock
        self.capabilities = capabilities
        self.digest = digest(["any-llm", self._provider, base_url, self._model])

    def __repr__(self) -> str:
        """Return the model and its provider, never the key."""
        return f"AnyModel({self._tell.where})"

    async def complete(self, request: Request, *, timeout_s: float | None = None) -> Completion:
        """Answer in one piece; raises what the port says."""
        start = self._clock()
        limit = self._timeout_s if timeout_s is None else timeout_s
        with self._translated(limit):
            async with asyncio.timeout(limit):
                done = await self._client.acompletion(**self._asked(request))
            found = read_chat(_json(done), request)
        return self._timed(found, start, None)

    async def stream(
        self, request: Request, *, timeout_s: float | None = None
    ) -> AsyncGenerator[Chunk]:
        """Answer in pieces; the last chunk carries the completion."""
        start = self._clock()
        limit = self._timeout_s if timeout_s is None else timeout_s
        deadline = asyncio.get_running_loop().time() + limit
        reading, first = ChatReading(request), None
        with self._translated(limit):
            async with asyncio.timeout_at(deadline):
                pieces = await self._client.acompletion(**self._asked(request, stream=True))
            while True:
                async with asyncio.timeout_at(deadline):
                    piece = await anext(pieces, None)
                if piece is None:
                    break
                if (chunk := reading.take(_json(piece))) is not None:
                    first = self._clock() - start if first is None else first
                    yield chunk
            found = reading.completion()
        yield Chunk(completion=self._timed(found, start, first))

    async def aclose(self) -> None:
        """Nothing to let go of: any-llm does not say how its clients are closed."""

    def _asked(self, request: Request, *, stream: bool = False) -> dict[str, Any]:
        asked: dict[str, Any] = {"model": self._model, "messages": chat_messages(request)}
        asked |= chat_options(msgspec.structs.replace(request, logprobs=False, top_logprobs=0))
        if request.max_tokens is not None:
            asked["max_tokens"] = request.max_tokens
        return asked | ({"stream": True} if stream else {})

    @contextmanager
    def _translated(self, limit_s: float) -> Iterator[None]:
        """Turn what any-llm and the clients beneath it raise into our errors, without the cause:
        a client's error may hold the request and its headers.
        """
        try:
            yield
            return
        except TimeoutError:
            told: ModelError = self._tell.late(limit_s)
        except ReportedError as error:
            told = self._tell.error(error.refusal)
        except (MalformedError, msgspec.MsgspecError, UnicodeError) as error:
            told = self._tell.malformed(str(error))
        except self._errors as error:
            told = self._failure(error)
        except (OSError, RuntimeError, ValueError, ImportError) as error:
            told = self._tell.unreachable(type(error).__name__)
        raise told from None

    def _failure(self, error: Any) -> ModelError:
        if error.status_code is None:
            return self._tell.unreachable(error.message)
        said = Said(message=error.message, type=error.error_type, code=error.code)
        return self._tell.error(Refusal(status=error.status_code, said=said))

    def _timed(self, done: Completion, start: float, first_token_s: float | None) -> Completion:
        return msgspec.structs.replace(
            done,
            model=done.model or self._model,
            latency_s=self._clock() - start,
            first_token_s=first_token_s,
        )


def _client(provider: str, key: str | None, base_url: str | None) -> tuple[type[Exception], Any]:
    """Return any-llm's base error and its client of a provider.

    Raises:
        ConfigError: the package or the provider's part of it is missing, or there is no key.
    """
    try:
        from any_llm import AnyLLM
        from any_llm.exceptions import AnyLLMError, UnsupportedParameterError
    except ImportError:
        raise ConfigError(
            f"The tier of any-llm:{provider} needs any-llm, which is not installed.",
            'Install it with `pip install "stepdown[any-llm]"`.',
        ) from None
    said = {"api_key": key, "api_base": base_url, "unified_exceptions": True}
    try:
        try:
            return AnyLLMError, AnyLLM.create(provider, max_retries=0, **said)
        except UnsupportedParameterError:
            return AnyLLMError, AnyLLM.create(provider, **said)
    except (AnyLLMError, ImportError, ValueError) as error:
        raise ConfigError(f"any-llm cannot open {provider!r}: {error}.") from None


def _json(answer: Any) -> bytes:
    """Return an answer of any-llm (a pydantic object of OpenAI's shape) as JSON."""
    return bytes(answer.model_dump_json(exclude_none=True), "utf-8")
