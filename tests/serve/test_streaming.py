"""What a caller sees of an answer while it is written, and what the ledger keeps of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest
from msgspec.structs import replace
from serve_fakes import ABLE, FakeModel

from stepdown.core.asked import Asked, Tool
from stepdown.core.call import Call, Reply
from stepdown.core.confidence import Calibrator
from stepdown.core.lock import Guarantee, Lock, LockedTask
from stepdown.core.policy import cascade
from stepdown.core.request import Chunk, Completion, Message, Request, ToolCall, ToolPiece
from stepdown.core.task import Task
from stepdown.core.tier import Tier
from stepdown.core.trace import Trace
from stepdown.errors import ModelError
from stepdown.serve.service import Service
from stepdown.serve.step import Step

STREAMS = replace(ABLE, stream=True)
ASK = (Message("user", "write to them"),)


class Writer(FakeModel):
    """Write an answer piece by piece; an error among the pieces is raised there."""

    def __init__(self, *pieces: str | Chunk | Exception, finish: str = "stop") -> None:
        super().__init__("".join(p for p in pieces if isinstance(p, str)), able=STREAMS)
        self.pieces = pieces
        self.finish = finish
        self.closed = False
        self.streamed = 0

    async def stream(
        self, request: Request, *, timeout_s: float | None = None
    ) -> AsyncGenerator[Chunk]:
        self.asked.append(request)
        try:
            for piece in self.pieces:
                if isinstance(piece, Exception):
                    raise piece
                self.streamed += 1
                yield Chunk(text=piece) if isinstance(piece, str) else piece
            text = "".join(p for p in self.pieces if isinstance(p, str))
            calls = tuple(
                ToolCall(p.id, p.name, p.arguments)
                for c in self.pieces
                if isinstance(c, Chunk)
                for p in c.tools
            )
            done = Completion(text=text, finish_reason=self.finish, tool_calls=calls, latency_s=0.5)
            yield Chunk(completion=done)
        finally:
            self.closed = True


class Screen:
    """What a caller sees, in order."""

    def __init__(self, hang_up_after: int | None = None) -> None:
        self.opening: Reply | None = None
        self.chunks: list[Chunk] = []
        self.hang_up_after = hang_up_after
        self.task: asyncio.Task[Reply] | None = None

    async def begin(self, opening: Reply) -> None:
        assert self.opening is None
        self.opening = opening

    async def piece(self, chunk: Chunk) -> None:
        assert self.opening is not None
        self.chunks.append(chunk)
        if len(self.chunks) == self.hang_up_after:
            assert self.task is not None
            self.task.cancel()
            await asyncio.sleep(0)

    @property
    def text(self) -> str:
        return "".join(chunk.text for chunk in self.chunks)


class Shop:
    """A draft task of two tiers whose small one keeps what it is sure of."""

    def __init__(self, small: FakeModel, big: FakeModel, **task: object) -> None:
        self.traces: list[Trace] = []
        policy = cascade(("small", "big"), (0.8,))
        made = Task(**{"name": "draft", "kind": "draft", "tiers": policy.tiers, **task})  # type: ignore[arg-type]
        step = Step(
            task=made,
            policy=policy,
            tiers={name: Tier(name=name, model="fake:x") for name in policy.tiers},
            models={"small": small, "big": big},
            confidence={"small": Calibrator("familiarity")},
        )
        stated = Guarantee(state="declared", promise="none")
        locked = LockedTask(contract="", settings="", policy=policy, guarantee=stated, tiers={})
        lock = Lock(version=1, generator="t", project="shop", tasks={"draft": locked})
        self.service = Service(
            lock, {"draft": step}, self.traces.append, today=lambda: "2026-01-01"
        )

    async def ask(
        self, screen: Screen | None, messages: Sequence[Message] = ASK, **asked: object
    ) -> Reply:
        call = Call(id="r1", model="draft", messages=tuple(messages), asked=Asked(**asked))  # type: ignore[arg-type]
        screen_task = asyncio.ensure_future(self.service.answer(call, screen))
        if screen is not None:
            screen.task = screen_task
        return await screen_task


def unsure() -> FakeModel:
    return FakeModel(Completion(text="no idea", familiarity=0.1, latency_s=0.1), able=STREAMS)


def sure() -> FakeModel:
    return FakeModel(Completion(text="Dear all", familiarity=0.9, latency_s=0.1), able=STREAMS)


async def test_an_answer_that_may_be_refused_is_not_sent_before_it_is_accepted() -> None:
    screen = Screen()
    reply = await Shop(sure(), Writer("x")).ask(screen)
    assert (screen.opening, reply.text, reply.trace.first_byte_s) == (None, "Dear all", None)


async def test_the_last_tier_streams_through_after_the_small_one_was_not_sure() -> None:
    screen = Screen()
    reply = await Shop(unsure(), Writer("Dear", " all", ",")).ask(screen)
    assert [chunk.text for chunk in screen.chunks] == ["Dear", " all", ","]
    assert screen.opening is not None
    told = screen.opening.trace
    assert (told.answered_by, told.escalations, told.cost_usd) == ("big", ("low_confidence",), None)
    assert (reply.text, reply.trace.reason) == ("Dear all,", "last_tier")
    assert reply.trace.first_byte_s is not None
    assert 0 <= reply.trace.first_byte_s <= reply.trace.latency_s


async def test_the_streamed_text_is_the_text_of_the_whole_answer() -> None:
    screen = Screen()
    reply = await Shop(unsure(), Writer(" ", "\n Dear", " ", "\n", "all", " \n", "  ")).ask(screen)
    assert screen.text == reply.text == "Dear \nall"


async def test_what_the_caller_must_parse_is_sent_whole() -> None:
    for task in ({"labels": ("a", "b"), "kind": "classify"}, {"fields": ("a",), "kind": "extract"}):
        screen, big = Screen(), FakeModel("a" if "labels" in task else '{"a": "x"}', able=STREAMS)
        await Shop(unsure(), big, **task).ask(screen)
        assert screen.opening is None


async def test_a_break_before_the_first_byte_falls_to_the_next_tier() -> None:
    screen = Screen()
    shop = Shop(unsure(), Writer(" ", ModelError("reset")))
    reply = await shop.ask(screen)
    assert screen.opening is None
    assert (reply.text, reply.trace.answered_by) == ("no idea", "small")
    assert reply.trace.outside_guarantee == "provider_error"


async def test_a_break_after_the_first_byte_is_an_error_and_is_kept_as_one() -> None:
    screen = Screen()
    shop = Shop(unsure(), Writer("Dear", ModelError("reset by peer")))
    with pytest.raises(ModelError, match="reset by peer"):
        await shop.ask(screen)
    assert screen.text == "Dear"
    (trace,) = shop.traces
    assert (trace.answered_by, trace.reason, trace.cost_usd) == (None, "broken_off", None)
    assert trace.attempts[-1].failure == "provider_error"


async def test_a_stream_that_ends_without_its_whole_answer_is_an_error() -> None:
    class Short(Writer):
        async def stream(
            self, request: Request, *, timeout_s: float | None = None
        ) -> AsyncGenerator[Chunk]:
            yield Chunk(text="Dear")

    with pytest.raises(ModelError, match="without the whole answer"):
        await Shop(unsure(), Short("x")).ask(Screen())


async def test_an_answer_cut_at_the_token_limit_is_sent_and_marked() -> None:
    screen = Screen()
    reply = await Shop(unsure(), Writer("Dear", " a", finish="length")).ask(screen)
    assert (screen.text, reply.text, reply.finish_reason) == ("Dear a", "Dear a", "length")
    assert reply.trace.outside_guarantee == "truncated"
    assert reply.trace.answered_by == "big"


async def test_a_caller_who_hangs_up_stops_the_tier_and_stays_in_the_books() -> None:
    big = Writer("Dear", " all", ", hello", " again")
    shop = Shop(unsure(), big)
    with pytest.raises(asyncio.CancelledError):
        await shop.ask(Screen(hang_up_after=2))
    assert big.closed
    assert big.streamed == 2
    (trace,) = shop.traces
    assert (trace.answered_by, trace.reason) == (None, "cancelled")
    assert [a.failure for a in trace.attempts] == [None, "cancelled"]


async def test_a_request_that_is_passed_on_streams_to_the_letter_with_its_tool_calls() -> None:
    screen = Screen()
    call = Chunk(tools=(ToolPiece(index=0, id="c1", name="look_up", arguments="{}"),))
    big = Writer(" Let me see. ", call, finish="tool_calls")
    reply = await Shop(unsure(), big).ask(screen, tools=(Tool("look_up"),), temperature=0.7)
    assert screen.text == reply.text == " Let me see. "
    assert [c.tools for c in screen.chunks if c.tools] == [call.tools]
    assert reply.tool_calls == (ToolCall("c1", "look_up", "{}"),)
    (asked,) = big.asked
    assert (asked.tools, asked.temperature, asked.messages) == ((Tool("look_up"),), 0.7, ASK)


async def test_a_cut_answer_of_a_request_that_is_passed_on_is_the_callers_as_it_is_today() -> None:
    reply = await Shop(unsure(), Writer("Dear", finish="length")).ask(
        None, (*ASK, *ASK), max_tokens=1
    )
    assert (reply.text, reply.trace.answered_by) == ("Dear", "big")
