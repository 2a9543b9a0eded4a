"""Examples from the ledger: what people corrected, and what the ceiling answered and was accepted.

Only what a task's `store` lets it keep is read, by the setting of today: where it is `none` or
`metadata`, older texts are not touched. Answers of small tiers teach nothing: they are what is
to be bettered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec
from msgspec import Struct

from stepdown.adapters.storage.ledger import SpoolLedger
from stepdown.core.beside import Feedback
from stepdown.core.json_schema import violation
from stepdown.core.masking import mask
from stepdown.core.requesting import match_label, read_object
from stepdown.core.task import Task
from stepdown.core.trace import Trace
from stepdown.errors import DataError
from stepdown.ports.trainer import Example
from stepdown.train.data_card import Refused
from stepdown.wiring.pool import PREFIX
from stepdown.wiring.pool_labels import labels_of
from stepdown.wiring.workspace import Workspace

KEEPING = ("sample", "full")  # values of `store` under which texts may be learned from
EXCERPT = 60
CONVERSATION, REQUEST = "conversation:", "request:"
WITHHELD = "its text was not kept"
UNMATCHED = "the request did not match the contract"
UNANSWERED = "nobody answered it"
SMALL = "a small tier answered, and nobody corrected it"
DISLIKED = "somebody scored the answer below 1"
CONTRADICTED = "people name different right answers"
UNUSABLE = "the answer is none that the task allows"
JUDGED = "labelled for a certificate"


class Traffic(Struct, frozen=True, kw_only=True):
    """Examples from `seen` requests; `spelled` had a label in another spelling."""

    examples: tuple[Example, ...] = ()
    seen: int = 0
    refused: tuple[Refused, ...] = ()
    spelled: int = 0
    notes: tuple[str, ...] = ()


class Refusals:
    """Counts what was not taken by reason, with the first of each as an example."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def note(self, reason: str, row_id: str, text: str | None = None) -> None:
        """Count one; of its text a masked beginning is shown."""
        self._counts[reason] += 1
        said = "" if not text else f": {mask(' '.join(text.split()))[:EXCERPT]}"
        self._first.setdefault(reason, f"{row_id}{said}")

    def told(self) -> tuple[Refused, ...]:
        """Return the reasons, the commonest first."""
        return tuple(
            Refused(reason, n, self._first[reason]) for reason, n in self._counts.most_common()
        )


def from_traffic(workspace: Workspace, task: Task) -> Traffic:
    """Return the examples that the ledger holds for a task.

    Raises:
        DataError: the labels of the task cannot be read.
    """
    if task.store not in KEEPING:
        said = f'store = "{task.store}" keeps no texts, so nothing is learned from traffic.'
        return Traffic(notes=(said,))
    with suppress(DataError), workspace.kept_ledger() as ledger:
        return _read(workspace, task, ledger)
    return Traffic(notes=("There is no ledger yet: nothing was served.",))


def _read(workspace: Workspace, task: Task, ledger: SpoolLedger) -> Traffic:
    said = _words(ledger, task)
    judged = {one.query_id.removeprefix(PREFIX) for one in labels_of(workspace, task).read()}
    refusals, seen, found = Refusals(), 0, []
    for trace in ledger.traces(task=task.name):
        seen += 1
        if trace.id in judged:
            refusals.note(JUDGED, trace.id, trace.input)
            continue
        one = example_of(task, trace, said.get(trace.id, ()))
        if isinstance(one, str):
            refusals.note(one, trace.id, trace.input)
        else:
            found.append(one)
    return Traffic(examples=tuple(found), seen=seen, refused=refusals.told())


def _words(ledger: SpoolLedger, task: Task) -> Mapping[str, tuple[Feedback, ...]]:
    """Return trace id -> what people say of it, the last word of each person."""
    last: dict[str, dict[str, Feedback]] = {}
    for one in ledger.records(Feedback, task=task.name):
        last.setdefault(one.trace_id, {})[one.by] = one
    return {trace: tuple(by.values()) for trace, by in last.items()}


def example_of(task: Task, trace: Trace, said: tuple[Feedback, ...]) -> Example | str:
    """Return what a request teaches, or why it teaches nothing."""
    why = _unusable(task, trace)
    if why is not None:
        return why
    corrected = {one.label for one in said if one.label is not None}
    if len(corrected) > 1:
        return CONTRADICTED
    if not corrected and any(one.score is not None and one.score < 1 for one in said):
        return DISLIKED
    if not corrected and trace.answered_by != task.ceiling:
        return SMALL
    answer = value_of(task, next(iter(corrected), trace.answer))
    if answer is None:
        return UNUSABLE
    return Example(
        id=trace.id,
        input=trace.input or "",
        answer=answer,
        group=_group(trace),
        source="feedback" if corrected else "ceiling",
        escalated=trace.escalated,
        wrong=_wrong(task, trace, answer),
    )


def _unusable(task: Task, trace: Trace) -> str | None:
    if trace.input is None or not trace.input.strip():
        return WITHHELD
    if not trace.contract_matched:
        return UNMATCHED
    return UNANSWERED if trace.answered_by is None else None


def _group(trace: Trace) -> str:
    """Return what a request belongs to: its conversation, else the request itself."""
    if trace.session is not None:
        return CONVERSATION + trace.session
    return REQUEST + (trace.message_id or trace.id)


def _wrong(task: Task, trace: Trace, answer: Any) -> Any:
    """Return what the last small tier that was asked answered, where it was wrong."""
    for attempt in reversed(trace.attempts):
        if attempt.kind == "call" and attempt.tier != task.ceiling and attempt.answer is not None:
            said = value_of(task, attempt.answer)
            return None if said == answer else said
    return None


def value_of(task: Task, text: str | None) -> Any:
    """Return a canonical answer as a reference stands in a set; None for one that breaks the task.

    A label in another case or with other white space is that label.
    """
    if text is None or not text.strip():
        return None
    if task.labels:
        return match_label(task.labels, text)
    if task.fields:
        return read_object(task.fields, text)
    if task.json_schema or task.kind == "tool_call":
        return _json(task, text)
    return text


def _json(task: Task, text: str) -> Any:
    try:
        found = msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    broken = task.json_schema and violation(task.json_schema, found)
    return None if broken else found
