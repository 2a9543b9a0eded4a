"""The OpenAI embeddings wire against a server on loopback.

Source: OpenAI API reference, "Create embeddings" and "The embedding object", read 2026-11; the
official client reads the same bodies in the first test.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from openai import AsyncOpenAI
from wire_fake_vendor import KEY, Naps, Server, chat_error

from stepdown.adapters.models.wire.embeddings import OpenAIEmbedder
from stepdown.core.request import Usage
from stepdown.errors import ModelError, Overloaded, TimedOut, Unavailable


def coded(numbers: list[float]) -> str:
    return base64.b64encode(np.asarray(numbers, dtype="<f4").tobytes()).decode()


def vectors(*rows: Any, tokens: int | None = 5, order: list[int] | None = None) -> dict[str, Any]:
    """An embeddings list as the reference shows it."""
    places = order or list(range(len(rows)))
    data = [{"object": "embedding", "embedding": rows[i], "index": i} for i in places]
    usage = {} if tokens is None else {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": "embed-x-2026", "usage": usage}


@pytest.fixture
async def embedder(server: Server, naps: Naps) -> AsyncIterator[OpenAIEmbedder]:
    made = OpenAIEmbedder(
        "embed-x", base_url=f"{server.base}/v1", api_key=KEY, sleep=naps, jitter=lambda: 0.5
    )
    yield made
    await made.aclose()


async def test_vectors_are_read_with_their_tokens_as_the_official_client_reads_them(
    server: Server, embedder: OpenAIEmbedder
) -> None:
    body = vectors(coded([1.0, 0.5]), coded([0.0, -2.0]))
    server.steps = [body, body]
    async with AsyncOpenAI(base_url=f"{server.base}/v1", api_key=KEY) as official:
        theirs = await official.embeddings.create(model="embed-x", input=["a", "b"])
    done = await embedder.embed(["a", "b"])
    assert done.vectors.dtype == np.float32
    assert done.vectors.tolist() == [each.embedding for each in theirs.data]
    assert done.vectors.tolist() == [[1.0, 0.5], [0.0, -2.0]]
    assert done.usage == Usage(input_tokens=5, output_tokens=0)
    assert (done.model, embedder.dimensions) == ("embed-x-2026", 2)
    assert server.paths == ["/v1/embeddings"] * 2
    assert server.bodies[0] == server.bodies[1]
    assert server.bodies[1]["encoding_format"] == "base64"
    assert server.headers[1]["Authorization"] == f"Bearer {KEY}"


async def test_vectors_as_numbers_and_in_another_order_mean_the_same(
    server: Server, embedder: OpenAIEmbedder
) -> None:
    server.steps = [vectors([1.0, 0.5], [0.0, -2.0], order=[1, 0])]
    assert (await embedder.embed(["a", "b"])).vectors.tolist() == [[1.0, 0.5], [0.0, -2.0]]


async def test_many_texts_go_in_batches_and_their_tokens_add_up(server: Server) -> None:
    made = OpenAIEmbedder("embed-x", base_url=server.base, api_key=KEY, most_texts=2)
    server.steps = [vectors([1.0], [2.0], tokens=3), vectors([3.0], tokens=4)]
    done = await made.embed(["a", "b", "c"])
    assert done.vectors.tolist() == [[1.0], [2.0], [3.0]]
    assert done.usage.input_tokens == 7
    assert [body["input"] for body in server.bodies] == [["a", "b"], ["c"]]
    await made.aclose()


async def test_a_batch_stays_within_the_tokens_that_the_wire_allows(
    server: Server, embedder: OpenAIEmbedder
) -> None:
    long = "word " * 40_000  # 200,000 bytes
    server.steps = [vectors([1.0]), vectors([2.0], [3.0])]
    await embedder.embed([long, long, "short"])
    assert [len(body["input"]) for body in server.bodies] == [1, 2]


async def test_tokens_are_unknown_as_soon_as_one_call_does_not_say(server: Server) -> None:
    made = OpenAIEmbedder("embed-x", base_url=server.base, api_key=KEY, most_texts=1)
    server.steps = [vectors([1.0], tokens=3), vectors([3.0], tokens=None)]
    assert (await made.embed(["a", "b"])).usage.input_tokens is None
    await made.aclose()


async def test_a_length_that_is_asked_for_is_sent_and_must_come(server: Server) -> None:
    made = OpenAIEmbedder("embed-x", base_url=server.base, api_key=KEY, dimensions=2)
    server.steps = [vectors([1.0, 2.0]), vectors([1.0, 2.0, 3.0])]
    await made.embed(["a"])
    assert server.bodies[0]["dimensions"] == 2
    with pytest.raises(ModelError, match="2 dimensions"):
        await made.embed(["a"])
    other = OpenAIEmbedder("embed-x", base_url=server.base, api_key=KEY)
    assert made.digest != other.digest
    await made.aclose()


async def test_a_server_that_knows_no_base64_is_asked_for_numbers(
    server: Server, embedder: OpenAIEmbedder
) -> None:
    refused = chat_error("Unsupported parameter: 'encoding_format'.", param="encoding_format")
    server.steps = [(400, refused, {}), vectors([1.0]), vectors([1.0])]
    await embedder.embed(["a"])
    await embedder.embed(["a"])
    assert ["encoding_format" in body for body in server.bodies] == [True, False, False]


async def test_a_full_server_is_tried_again_and_then_overloaded(
    server: Server, embedder: OpenAIEmbedder, naps: Naps
) -> None:
    full = (429, chat_error("Slow down."), {"Retry-After": "2"})
    server.steps = [full, vectors([1.0])]
    await embedder.embed(["a"])
    assert naps.taken[0] >= 2
    server.steps = [full, full, full]
    with pytest.raises(Overloaded):
        await embedder.embed(["a"])


@pytest.mark.parametrize(
    "body",
    [
        {"object": "list", "data": []},
        vectors([1.0], [2.0], order=[0]),
        vectors([1.0], [2.0, 3.0]),
        vectors("%%%", [1.0]),
        vectors(base64.b64encode(b"12345").decode(), [1.0]),
        vectors(coded([float("nan")]), [1.0]),
        vectors([], []),
        {"data": "nothing"},
    ],
)
async def test_a_body_that_is_not_one_vector_for_each_text_is_an_error(
    server: Server, embedder: OpenAIEmbedder, body: Any
) -> None:
    server.steps = [body]
    with pytest.raises(ModelError, match="cannot be read"):
        await embedder.embed(["a", "b"])


async def test_an_error_never_quotes_the_key(server: Server, embedder: OpenAIEmbedder) -> None:
    server.steps = [(400, chat_error(f"bad key {KEY}"), {})]
    with pytest.raises(ModelError) as caught:
        await embedder.embed(["a"])
    assert KEY not in str(caught.value)
    assert KEY not in repr(embedder)


async def test_an_empty_text_is_refused_before_anything_is_sent(
    server: Server, embedder: OpenAIEmbedder
) -> None:
    with pytest.raises(Unavailable, match="Text 2 of 2 is empty"):
        await embedder.embed(["a", " "])
    assert server.bodies == []


async def test_no_texts_make_no_call(server: Server, embedder: OpenAIEmbedder) -> None:
    done = await embedder.embed([])
    assert len(done.vectors) == 0
    assert json.dumps(server.bodies) == "[]"


async def test_a_late_answer_is_timed_out(server: Server, embedder: OpenAIEmbedder) -> None:
    async def late(_request: Any) -> Any:
        await asyncio.sleep(1)

    server.steps = [late]
    with pytest.raises(TimedOut):
        await embedder.embed(["a"], timeout_s=0.05)
