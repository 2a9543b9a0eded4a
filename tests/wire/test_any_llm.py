"""any-llm as an upstream, against a stand-in of its documented surface.

The real package wants an older anthropic than the development environment has, so it is not
installed here. The stand-in follows any-llm-sdk 1.40.2: `AnyLLM.create(provider, api_key=,
api_base=, unified_exceptions=, max_retries=)`, `acompletion(model=, messages=, ...)`, answers as
pydantic objects of OpenAI's shape, and the errors of `any_llm.exceptions`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from types import ModuleType
from typing import Any

import pytest
from wire_fake_vendor import KEY, chat, chat_stream

from stepdown.adapters.models.any_llm import AnyModel
from stepdown.core.request import Request, Usage
from stepdown.errors import ConfigError, ModelError, Overloaded, TimedOut

ASKED = Request(id="1", task="t", input="Hello", max_tokens=8, logprobs=True)


class AnyLLMError(Exception):
    def __init__(self, message: str, status_code: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.status_code = status_code
        self.code = self.error_type = None


class UnsupportedParameterError(AnyLLMError):
    pass


class Dumped:
    """What of a pydantic object is used."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.body = body

    def model_dump_json(self, *, exclude_none: bool = False) -> str:
        assert exclude_none
        return json.dumps(self.body)


class StandIn:
    """One provider: says `said`, or raises it."""

    made: list[dict[str, Any]] = []
    said: Any = None

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    @classmethod
    def create(
        cls,
        provider: str,
        api_key: str | None = None,
        api_base: str | None = None,
        *,
        unified_exceptions: bool | None = None,
        max_retries: int | None = None,
    ) -> StandIn:
        if provider == "stubborn" and max_retries is not None:
            raise UnsupportedParameterError("'max_retries' is not supported for stubborn")
        if provider == "nobody":
            raise AnyLLMError("'nobody' is not a supported provider")
        assert unified_exceptions
        cls.made.append({"provider": provider, "key": api_key, "retries": max_retries})
        return cls()

    async def acompletion(self, *, stream: bool = False, **asked: Any) -> Any:
        self.asked.append(asked)
        if isinstance(self.said, Exception):
            raise self.said
        if self.said == "nothing":
            await asyncio.Event().wait()
        return self._pieces() if stream else Dumped(chat())

    async def _pieces(self) -> AsyncIterator[Dumped]:
        for event in chat_stream()[: 2 if self.said == "cut" else None]:
            yield Dumped(event)


@pytest.fixture(autouse=True)
def package(monkeypatch: pytest.MonkeyPatch) -> type[StandIn]:
    module, errors = ModuleType("any_llm"), ModuleType("any_llm.exceptions")
    module.AnyLLM = StandIn  # type: ignore[attr-defined]
    errors.AnyLLMError = AnyLLMError  # type: ignore[attr-defined]
    errors.UnsupportedParameterError = UnsupportedParameterError  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "any_llm", module)
    monkeypatch.setitem(sys.modules, "any_llm.exceptions", errors)
    StandIn.made, StandIn.said = [], None
    return StandIn


async def test_a_model_is_asked_without_log_probabilities_and_without_tries_of_its_own() -> None:
    model = AnyModel("mistral/medium", api_key=KEY)
    done = await model.complete(ASKED)
    assert (done.text, done.logprobs) == ("card_arrival", None)
    assert done.usage == Usage(
        input_tokens=19, output_tokens=10, cached_tokens=8, reasoning_tokens=4
    )
    assert StandIn.made == [{"provider": "mistral", "key": KEY, "retries": 0}]
    asked = model._client.asked[0]
    assert (asked["model"], asked["max_tokens"]) == ("medium", 8)
    assert "logprobs" not in asked
    assert KEY not in repr(model)


async def test_a_client_that_takes_no_number_of_tries_is_opened_all_the_same() -> None:
    AnyModel("stubborn/m")
    assert StandIn.made == [{"provider": "stubborn", "key": None, "retries": None}]


async def test_a_stream_is_read_as_it_comes_and_one_that_is_cut_is_no_answer() -> None:
    model = AnyModel("mistral/medium")
    chunks = [chunk async for chunk in model.stream(ASKED)]
    assert "".join(chunk.text for chunk in chunks) == "card_arrival \N{SNOWMAN}"
    assert chunks[-1].completion is not None
    assert chunks[-1].completion.usage.output_tokens == 2
    StandIn.said = "cut"
    with pytest.raises(ModelError):
        [chunk async for chunk in model.stream(ASKED)]


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (AnyLLMError(f"slow down {KEY}", 429), Overloaded),
        (AnyLLMError("bad key", 401), ModelError),
        (AnyLLMError("connection failed"), ModelError),
        (ConnectionResetError(f"headers {KEY}"), ModelError),
    ],
)
async def test_its_errors_become_ours_and_never_hold_the_key(
    raised: Exception, kind: type[ModelError]
) -> None:
    StandIn.said = raised
    with pytest.raises(ModelError) as caught:
        await AnyModel("mistral/medium", api_key=KEY).complete(ASKED)
    assert type(caught.value) is kind
    assert KEY not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_a_call_that_takes_too_long_is_given_up() -> None:
    StandIn.said = "nothing"
    with pytest.raises(TimedOut):
        await AnyModel("mistral/medium").complete(ASKED, timeout_s=0.01)


def test_what_cannot_be_opened_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="PROVIDER/MODEL"):
        AnyModel("medium")
    with pytest.raises(ConfigError, match="not a supported provider"):
        AnyModel("nobody/m")
    monkeypatch.setitem(sys.modules, "any_llm", None)
    with pytest.raises(ConfigError, match=r"stepdown\[any-llm\]"):
        AnyModel("mistral/medium")
