"""Pieces on their way: whatever the cuts, the caller reads the text that is sent whole."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepdown.core.call import Reply
from stepdown.core.request import Chunk, ToolPiece, Usage
from stepdown.core.trace import Trace
from stepdown.serve.relay import Relay

TRACE = Trace(id="1", task="t", at="", attempts=(), answered_by="big", reason="", latency_s=0.0)


class Screen:
    def __init__(self) -> None:
        self.begun = 0
        self.chunks: list[Chunk] = []

    async def begin(self, opening: Reply) -> None:
        assert opening.trace.answered_by == "big"
        self.begun += 1

    async def piece(self, chunk: Chunk) -> None:
        assert self.begun == 1
        self.chunks.append(chunk)


def relayed(pieces: list[str], *, verbatim: bool) -> Screen:
    screen = Screen()
    relay = Relay(screen, lambda: 7.0, verbatim=verbatim)

    async def send() -> None:
        for piece in pieces:
            await relay.take(Chunk(text=piece), lambda: Reply(text="", model="t", trace=TRACE))

    asyncio.run(send())
    assert relay.began == bool(screen.begun)
    assert relay.first_byte_at == (7.0 if screen.begun else None)
    return screen


words = st.lists(st.text(alphabet="ab \n\t", max_size=4), max_size=12)


@given(words)
def test_a_matched_answer_reads_as_it_does_when_sent_whole(pieces: list[str]) -> None:
    screen = relayed(pieces, verbatim=False)
    assert "".join(chunk.text for chunk in screen.chunks) == "".join(pieces).strip()
    assert screen.begun == bool("".join(pieces).strip())


@given(words)
def test_an_answer_that_is_passed_on_is_sent_to_the_letter(pieces: list[str]) -> None:
    screen = relayed(pieces, verbatim=True)
    assert [chunk.text for chunk in screen.chunks] == [piece for piece in pieces if piece]


@pytest.mark.parametrize("verbatim", [True, False])
async def test_a_call_without_words_begins_the_answer_too(verbatim: bool) -> None:
    screen = Screen()
    relay = Relay(screen, lambda: 7.0, verbatim=verbatim)
    call = Chunk(tools=(ToolPiece(0, "c", "f"),))
    await relay.take(call, lambda: Reply(text="", model="t", trace=TRACE))
    assert [chunk.tools for chunk in screen.chunks] == [call.tools]


@given(words)
def test_pieces_that_came_together_read_as_those_that_came_one_by_one(pieces: list[str]) -> None:
    apart, together = relayed(pieces, verbatim=False), Screen()
    relay = Relay(together, lambda: 7.0, verbatim=False)
    chunk = Chunk(text="".join(pieces), texts=tuple(pieces))
    asyncio.run(relay.take(chunk, lambda: Reply(text="", model="t", trace=TRACE)))
    said = [text for chunk in together.chunks for text in chunk.texts or (chunk.text,)]
    assert said == [chunk.text for chunk in apart.chunks]


@pytest.mark.parametrize("verbatim", [True, False])
async def test_the_end_is_told_as_it_comes_and_begins_nothing(verbatim: bool) -> None:
    screen = Screen()
    relay = Relay(screen, lambda: 7.0, verbatim=verbatim)
    end, usage = Chunk(finish_reason="stop"), Chunk(usage=Usage(input_tokens=1, output_tokens=2))
    await relay.take(end, lambda: Reply(text="", model="t", trace=TRACE))
    assert not relay.began
    await relay.take(Chunk(text="a"), lambda: Reply(text="", model="t", trace=TRACE))
    await relay.take(end, lambda: Reply(text="", model="t", trace=TRACE))
    await relay.take(usage, lambda: Reply(text="", model="t", trace=TRACE))
    assert [chunk.finish_reason for chunk in screen.chunks] == [None, "stop", None]
    assert screen.chunks[-1].usage == usage.usage
