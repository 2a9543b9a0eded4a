"""Traces for a person: a page of them, and one explained with what was kept of its texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from stepdown.adapters.storage.browsing import MOST_LOOKED, Place, Wanted, browse
from stepdown.adapters.storage.ledger import SpoolLedger
from stepdown.core.beside import Beside, Feedback
from stepdown.core.board import Board, Kind
from stepdown.core.keeping import without_texts
from stepdown.core.report import Document
from stepdown.core.trace import Trace
from stepdown.core.trace_list import TraceFilter, TraceLine, TraceList
from stepdown.wiring.explaining import document
from stepdown.wiring.reason_words import reason_words

PAGE = 50
_MARK = "~"  # between time and id of a place; a time has none


class Explained(Struct, frozen=True, kw_only=True):
    """A trace as a report, the texts that were kept of it, and why there are none ("")."""

    task: str
    told: Document
    texts: tuple[tuple[str, str], ...] = ()
    withheld: str = ""


def traces_of(path: Path, query: Mapping[str, str], board: Board) -> TraceList:
    """Return the page of traces that a query asks for; `board` knows the choices.

    Raises:
        DataError: the ledger cannot be read.
    """
    chosen = TraceFilter(
        task=query.get("task", ""), reason=query.get("reason", ""), outside=query.get("outside", "")
    )
    before = _place(query.get("before", ""))
    found = browse(
        path,
        Wanted(
            task=chosen.task or None,
            reason=chosen.reason or None,
            outside=chosen.outside or None,
            before=before,
            limit=PAGE,
        ),
    )
    return TraceList(
        lines=tuple(map(_line, found.rows)),
        chosen=chosen,
        next="" if found.next is None else _MARK.join(found.next),
        stopped=found.looked,
        looked=MOST_LOOKED,
        is_first=before is None,
        tasks=tuple(step.task for step in board.steps),
        reasons=_choices(board, "escalation"),
        outsides=_choices(board, "outside"),
    )


def _place(said: str) -> Place | None:
    at, mark, name = said.partition(_MARK)
    return (at, name) if mark else None


def _choices(board: Board, kind: Kind) -> tuple[tuple[str, str], ...]:
    found = {
        one.reason: one.words for step in board.steps for one in step.reasons if one.kind == kind
    }
    return tuple(sorted(found.items()))


def _line(row: Mapping[str, Any]) -> TraceLine:
    return TraceLine(
        id=row["id"],
        task=row["task"],
        at=row["at"],
        answered_by=row["answered_by"],
        words=reason_words(row["reason"]),
        escalated=bool(row["escalated"]),
        latency_s=row["latency_s"],
        cost_usd=row["cost_usd"],
        guarantee=row["guarantee"],
        outside=row["outside_guarantee"],
        confidence=row["confidence"],
    )


def explained(ledger: SpoolLedger, trace_id: str, *, texts: bool) -> Explained | None:
    """Return one trace explained, None where there is none; without `texts` none is shown.

    Raises:
        DataError: the ledger cannot be read.
    """
    trace = ledger.trace(trace_id)
    if trace is None:
        return None
    beside = ledger.about(trace_id)
    kept = _texts(trace)
    if not texts:
        trace, beside = without_texts(trace), [_bare(one) for one in beside]
    told = document(replace(trace, input=None, answer=None), beside)
    shown = kept if texts else ()
    return Explained(task=trace.task, told=told, texts=shown, withheld=_withheld(kept, texts))


def _bare(one: Beside) -> Beside:
    return replace(one, comment=None) if isinstance(one, Feedback) else one


def _texts(trace: Trace) -> tuple[tuple[str, str], ...]:
    said = [("Input", trace.input), *_answers(trace), ("Answer that was sent", trace.answer)]
    return tuple((name, text) for name, text in said if text is not None)


def _answers(trace: Trace) -> Sequence[tuple[str, str | None]]:
    return [(f"Answer of {one.tier} (attempt {one.number})", one.answer) for one in trace.attempts]


def _withheld(kept: Sequence[tuple[str, str]], texts: bool) -> str:
    if kept and not texts:
        return "Texts of this request are kept; sign in to read them."
    return "" if kept else "The task's `store` kept no text of this request."
