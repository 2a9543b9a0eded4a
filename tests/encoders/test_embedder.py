"""Local encoders behind the Embedder port."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from stepdown.adapters.encoders.static import load_static
from stepdown.adapters.models.encoder import EncoderEmbedder
from stepdown.errors import TimedOut, Unavailable


async def test_the_shipped_encoder_embeds_as_a_tier() -> None:
    static = load_static()
    embedder = EncoderEmbedder(static)
    done = await embedder.embed(["where is my card", "pay a bill"])
    assert np.array_equal(done.vectors, static.embed(["where is my card", "pay a bill"]))
    assert (embedder.digest, embedder.dimensions) == (static.digest, static.dim)
    assert (done.usage.input_tokens, done.usage.output_tokens) == (0, 0)
    assert done.latency_s is not None


async def test_an_empty_text_is_refused() -> None:
    with pytest.raises(Unavailable, match="Text 1 of 1"):
        await EncoderEmbedder(load_static()).embed([""])


class Slow:
    """An encoder that waits until it is let go."""

    name, digest, dim = "slow", "sha256:0", 1

    def __init__(self) -> None:
        self.go = threading.Event()

    def embed(self, texts: Sequence[str]) -> Any:
        self.go.wait(5)
        return np.ones((len(texts), 1), dtype=np.float32)


async def test_a_slow_encoder_leaves_the_event_loop_free_and_is_timed_out() -> None:
    slow = Slow()
    embedder = EncoderEmbedder(slow, in_thread=True)
    waiting = asyncio.create_task(embedder.embed(["a"], timeout_s=0.05))
    with pytest.raises(TimedOut):
        await waiting
    slow.go.set()


async def test_a_batch_leaves_the_event_loop_free_even_before_a_fast_encoder() -> None:
    slow = Slow()
    under_way = asyncio.ensure_future(EncoderEmbedder(slow).embed(["word " * 1000]))
    await asyncio.sleep(0)
    assert not under_way.done()  # on the loop it would be
    slow.go.set()
    assert len((await under_way).vectors) == 1
