"""How much of a request is kept: nothing, counts and digests, a share of texts, or all of them.

Pure: whoever writes a trace anywhere asks here first. It does not know where traces go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

import msgspec
from msgspec import Struct

from stepdown.core.beside import Shadow, Tally
from stepdown.core.digest import draw
from stepdown.core.trace import Attempt, Trace

Store = Literal["none", "metadata", "sample", "full"]
WITHHELD = " (the rest is withheld: it may quote the request)"
_HOUR = len("2026-11-22T10")


class Keeping(Struct, frozen=True):
    """What a task keeps; `share` is the share of requests whose texts `sample` keeps."""

    store: Store = "metadata"
    share: float = 0.01

    def texts(self, seed: int, trace_id: str) -> bool:
        """Say whether the texts of this request are kept; the same answer for the same id."""
        if self.store == "sample":
            return draw(seed, f"store:{trace_id}") < self.share
        return self.store == "full"


def without_texts(trace: Trace) -> Trace:
    """Return a trace with no part of the input or of any answer in it."""
    return msgspec.structs.replace(trace, attempts=bare(trace.attempts), input=None, answer=None)


def shadow_without_texts(shadow: Shadow) -> Shadow:
    """Return a shadow run with no text in it."""
    return msgspec.structs.replace(
        shadow, attempts=bare(shadow.attempts), input=None, answer=None, caller_answer=None
    )


def bare(attempts: Iterable[Attempt]) -> tuple[Attempt, ...]:
    """Return attempts with no part of an answer in them."""
    return tuple([_bare(attempt) for attempt in attempts])


def _bare(attempt: Attempt) -> Attempt:
    detail = attempt.failure_detail
    if attempt.answer is None and detail is None:
        return attempt
    kept = None if detail is None else own_words(detail)
    return msgspec.structs.replace(attempt, answer=None, failure_detail=kept)


def own_words(detail: str) -> str:
    """Return an error as far as it is ours: a server's words, after the colon, may quote."""
    head, colon, rest = detail.partition(": ")
    return f"{head}{WITHHELD}" if colon and rest else detail


def tally_of(trace: Trace, new_id: Callable[[], str]) -> Tally:
    """Return the bare counts of a request whose task stores nothing."""
    return Tally(
        id=new_id(),
        task=trace.task,
        hour=trace.at[:_HOUR],
        answered_by=trace.answered_by,
        escalated=trace.escalated,
        guarantee=trace.guarantee,
        outside_guarantee=trace.outside_guarantee,
        arm=trace.arm,
        latency_s=round(trace.latency_s, 2),
        cost_usd=trace.cost_usd,
        baseline_usd=trace.baseline_usd,
    )


def tally_of_shadow(shadow: Shadow, new_id: Callable[[], str]) -> Tally:
    """Return the bare counts of a shadow run whose task stores nothing."""
    return Tally(
        id=new_id(),
        task=shadow.task,
        hour=shadow.at[:_HOUR],
        kind="audit" if shadow.ran == "ceiling" else "shadow",
        answered_by=shadow.answered_by,
        propensity=shadow.propensity,
        loss=shadow.loss,
        why_not=shadow.why_not if shadow.ran == "ceiling" else "",
        outside_guarantee=shadow.outside_guarantee,
        agreed=shadow.agreed,
        cost_usd=shadow.cost_usd,
        baseline_usd=shadow.caller_usd,
    )
