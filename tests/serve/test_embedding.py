"""Embed tasks: one tier, one booking, vectors as they were certified."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from stepdown.core.call import EmbedCall
from stepdown.core.hints import read_hints
from stepdown.core.limits import Limits
from stepdown.core.request import Usage
from stepdown.core.task import Task
from stepdown.core.tier import Price, Tier
from stepdown.core.trace import Trace
from stepdown.errors import Busy, InputError, ModelError, Overloaded, Unavailable
from stepdown.ports.embedder import Embeddings
from stepdown.serve.embedding import Embedding, EmbedStep
from stepdown.serve.gate import Gate


class FakeEmbedder:
    """Two dimensions: one half, and how long the text is."""

    digest = "sha256:fake"
    dimensions: int | None = 2

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.asked: list[Sequence[str]] = []

    async def embed(self, texts: Sequence[str], *, timeout_s: float | None = None) -> Embeddings:
        self.asked.append(texts)
        if self.error is not None:
            raise self.error
        vectors = np.array([[0.5, len(text)] for text in texts], dtype=np.float32)
        return Embeddings(vectors=vectors, usage=Usage(input_tokens=10), latency_s=0.1)

    async def aclose(self) -> None:
        return None


def desk(embedder: FakeEmbedder, traces: list[Trace], **task: Any) -> Embedding:
    made = Task(**{"name": "search", "kind": "embed", "tiers": ("enc",), **task})
    price = Price(input_usd_per_mtok=2.0, output_usd_per_mtok=0.0, basis="your_rate")
    tier = Tier(name="enc", model="openai:x", place="vendor", price=price)
    gate = Gate("enc", Limits(concurrency=1, queue=0), embedded=True, seconds=time.monotonic)
    step = EmbedStep(task=made, tier=tier, embedder=embedder, gate=gate, state="certified")
    return Embedding({"search": step}, traces.append, lock_digest="sha256:lock")


def asked(model: str = "search", hints: dict[str, str] | None = None, **more: Any) -> EmbedCall:
    return EmbedCall(
        id="r1", model=model, texts=("a", "bcd"), hints=read_hints(hints or {}), **more
    )


async def test_vectors_come_in_the_order_of_the_texts_and_are_booked_as_one_call() -> None:
    traces: list[Trace] = []
    reply = await desk(FakeEmbedder(), traces).embed(asked())
    assert [np.frombuffer(v, "<f4").tolist() for v in reply.vectors] == [[0.5, 1.0], [0.5, 3.0]]
    (trace,) = traces
    assert (trace.answered_by, trace.guarantee, trace.outside_guarantee) == (
        "enc",
        "certified",
        None,
    )
    assert trace.cost_usd == pytest.approx(10 * 2.0 / 1e6)
    assert trace.attempts[0].usage.input_tokens == 10
    assert (trace.input, trace.answer) == (None, None)


async def test_other_dimensions_than_those_of_the_tier_are_refused_before_it_is_asked() -> None:
    embedder = FakeEmbedder()
    with pytest.raises(InputError, match="2 dimensions, not 3"):
        await desk(embedder, []).embed(asked(dimensions=3))
    assert embedder.asked == []
    assert len((await desk(embedder, []).embed(asked(dimensions=2))).vectors) == 2


@pytest.mark.parametrize("hints", [{}, {"boundary": "vendor"}])
async def test_a_private_task_never_reaches_an_outside_tier(hints: dict[str, str]) -> None:
    embedder, traces = FakeEmbedder(), list[Trace]()
    with pytest.raises(Unavailable, match="outside the boundary"):
        await desk(embedder, traces, boundary="embedded").embed(asked(hints=hints))
    with pytest.raises(Unavailable):
        await desk(embedder, traces).embed(asked(hints={"boundary": "self_hosted"}))
    assert embedder.asked == []
    assert [t.cost_usd for t in traces] == [0.0, 0.0]


async def test_a_failure_is_kept_and_raised() -> None:
    traces: list[Trace] = []
    for error, cost in ((Overloaded("full."), 0.0), (ModelError("broken."), None)):
        with pytest.raises(type(error)):
            await desk(FakeEmbedder(error), traces).embed(asked())
        assert (traces[-1].answered_by, traces[-1].cost_usd) == (None, cost)


async def test_a_tier_may_be_asked_directly_and_is_marked() -> None:
    traces: list[Trace] = []
    await desk(FakeEmbedder(), traces).embed(asked("tier:enc"))
    assert traces[0].outside_guarantee == "direct_call"
    with pytest.raises(InputError, match="which embed task"):
        await desk(FakeEmbedder(), traces).embed(asked("tier:other"))


async def test_a_task_that_embeds_nothing_says_which_do() -> None:
    with pytest.raises(InputError, match="Embed tasks: search"):
        await desk(FakeEmbedder(), []).embed(asked("intent"))


class Endless(FakeEmbedder):
    """Never done."""

    def __init__(self) -> None:
        super().__init__()
        self.began = asyncio.Event()

    async def embed(self, texts: Sequence[str], *, timeout_s: float | None = None) -> Embeddings:
        self.began.set()
        await asyncio.Event().wait()
        raise AssertionError("it is never done")


async def test_a_caller_who_hangs_up_is_kept_with_an_unknown_cost() -> None:
    traces: list[Trace] = []
    embedder = Endless()
    under_way = asyncio.ensure_future(desk(embedder, traces).embed(asked()))
    await embedder.began.wait()
    under_way.cancel()
    with pytest.raises(asyncio.CancelledError):
        await under_way
    assert [(t.reason, t.answered_by, t.cost_usd) for t in traces] == [("cancelled", None, None)]


async def test_a_full_tier_refuses_the_next_batch_and_keeps_it_for_nothing() -> None:
    traces: list[Trace] = []
    embedder = Endless()
    embedding = desk(embedder, traces)
    under_way = asyncio.ensure_future(embedding.embed(asked()))
    await embedder.began.wait()
    with pytest.raises(Busy):
        await embedding.embed(asked())
    assert [(t.reason, t.cost_usd) for t in traces] == [("overloaded", 0.0)]
    under_way.cancel()


async def test_vectors_of_a_size_that_nobody_asked_for_are_booked_before_they_are_refused() -> None:
    traces: list[Trace] = []
    embedder = FakeEmbedder()
    embedder.dimensions = None  # a hosted tier, which says so only in its answer
    with pytest.raises(InputError, match="2 dimensions, not 3"):
        await desk(embedder, traces).embed(asked(dimensions=3))
    assert traces[0].cost_usd == pytest.approx(10 * 2.0 / 1e6)
