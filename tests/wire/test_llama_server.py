"""The OpenAI wire against a server that somebody else wrote: llama.cpp's, with real weights."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from stepdown.adapters.models.wire.openai import OpenAIModel
from stepdown.core.request import Message, Request
from stepdown.errors import ModelError

pytestmark = pytest.mark.slow

KEY = "sk-local-0123456789"
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": ["string", "null"], "maxLength": 20}},
    "required": ["city"],
    "additionalProperties": False,
}


def _weights() -> Path:
    home = Path(os.environ.get("STEPDOWN_HOME", "~/.cache/stepdown")).expanduser()
    found = sorted(home.glob("weights/smollm2-135m-instruct-*/*.gguf"))
    if not found:
        pytest.skip("needs the weights: run `stepdown models pull smollm2-135m-instruct`")
    return found[0]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(_weights())
    params.n_ctx = 1024
    params.n_parallel = 1
    params.verbosity = -1
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [KEY]
    server = xllamacpp.Server(params)
    yield server.listening_address
    del server


@pytest.fixture
async def model(address: str) -> AsyncIterator[OpenAIModel]:
    model = OpenAIModel("smollm2", base_url=f"{address}/v1", api_key=KEY)
    yield model
    await model.aclose()


def asked(text: str, **changes: Any) -> Request:
    said = (Message(role="user", content=text),)
    return Request(id="1", task="t", input=text, messages=said, **{"max_tokens": 12, **changes})


async def test_llama_cpp_answers_with_usage_and_logprobs(model: OpenAIModel) -> None:
    done = await model.complete(asked("Say hello.", logprobs=True, top_logprobs=3))
    assert done.text
    assert done.usage.output_tokens
    assert done.usage.input_tokens
    assert done.logprobs is not None
    assert done.logprobs[0].logprob <= 0
    assert len(done.logprobs[0].top) == 3


async def test_llama_cpp_streams_the_answer_that_it_gives_in_one_piece(model: OpenAIModel) -> None:
    whole = await model.complete(asked("Name a colour."))
    *texts, last = [chunk async for chunk in model.stream(asked("Name a colour."))]
    assert last.completion is not None
    assert "".join(chunk.text for chunk in texts) == whole.text == last.completion.text
    assert last.completion.finish_reason == whole.finish_reason
    assert last.completion.usage.output_tokens == whole.usage.output_tokens


async def test_llama_cpp_keeps_to_a_strict_schema(model: OpenAIModel) -> None:
    done = await model.complete(asked("I live in Paris.", schema=SCHEMA, max_tokens=60))
    assert set(json.loads(done.text)) == {"city"}


async def test_llama_cpp_refuses_a_wrong_key(address: str) -> None:
    model = OpenAIModel("smollm2", base_url=f"{address}/v1", api_key="sk-wrong-999")
    with pytest.raises(ModelError, match="OPENAI_API_KEY"):
        await model.complete(asked("Hello"))
    await model.aclose()
