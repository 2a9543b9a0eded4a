"""A Handler that answers from a script and remembers what it was asked."""

from __future__ import annotations

import asyncio
import struct
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from stepdown.core.call import Call, EmbedCall, EmbedReply, Reply
from stepdown.core.request import Chunk, Usage
from stepdown.core.trace import Attempt, Trace
from stepdown.ports.handler import Sink


def reply_to(call: Call, **changes: Any) -> Reply:
    """Return a reply of the expert; `changes` go to the reply, or to its trace."""
    attempt = Attempt(
        id=f"{call.id}/1", trace_id=call.id, number=1, tier="expert", started_at="2026-11-22"
    )
    trace = Trace(
        id=call.id,
        task=call.model,
        at="2026-11-22T10:00:00Z",
        attempts=(attempt,),
        answered_by="expert",
        reason="accepted",
        latency_s=0.001,
        cost_usd=0.0000012,
        confidence=0.97,
        guarantee="certified",
    )
    base = Reply(
        text="Intent: refund",
        model="intent",
        trace=trace,
        usage=Usage(input_tokens=7, output_tokens=2),
    )
    of_reply = {key: value for key, value in changes.items() if key in Reply.__struct_fields__}
    of_trace = {key: value for key, value in changes.items() if key not in of_reply}
    return replace(base, trace=replace(trace, **of_trace), **of_reply)


class FakeHandler:
    """Answer as `says`: changes to the usual reply, or an error to raise.

    With `pieces` they are sent first, to whoever takes pieces; then it raises `breaks`, or `hangs`.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self.calls: list[Call] = []
        self.embeds: list[EmbedCall] = []
        self.says: Mapping[str, Any] | Exception = {}
        self.pieces: Sequence[Chunk] = ()
        self.breaks: Exception | None = None
        self.hangs = False
        self.delay_s = 0.0
        self.asked = threading.Event()
        self.cancelled = threading.Event()

    async def answer(self, call: Call, sink: Sink | None = None) -> Reply:
        self.calls.append(call)
        self.asked.set()
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        if isinstance(self.says, Exception):
            raise self.says
        if sink is not None and self.pieces:
            await sink.begin(reply_to(call, text="", usage=Usage(), cost_usd=None))
            for chunk in self.pieces:
                await sink.piece(chunk)
        if self.breaks is not None:
            raise self.breaks
        if self.hangs:
            await self._hang()
        return reply_to(call, **self.says)

    async def embed(self, call: EmbedCall) -> EmbedReply:
        self.embeds.append(call)
        if isinstance(self.says, Exception):
            raise self.says
        vectors = tuple(struct.pack("<2f", 0.5, len(text)) for text in call.texts)
        trace = reply_to(Call(id=call.id, model=call.model, messages=())).trace
        return EmbedReply(
            vectors=vectors, model=call.model, trace=trace, usage=self.says.get("usage", Usage())
        )

    async def _hang(self) -> None:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    async def was_cancelled(self) -> bool:
        """Wait until the work for the caller was given up."""
        return await asyncio.to_thread(self.cancelled.wait, 10)

    def knows(self, model: str) -> bool:
        return model in self.models()

    def models(self) -> Sequence[str]:
        return ("intent", "draft", "tier:frontier")

    def status(self) -> Mapping[str, Any]:
        return {"intent": {"state": "certified"}}
