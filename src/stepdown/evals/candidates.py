"""Candidates of an eval set: what a row of a table or a call of a log becomes, or why it cannot.

It reads no file and chooses nothing: every candidate is judged alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from stepdown.core.contract import Contract
from stepdown.core.request import Completion
from stepdown.core.requesting import read_answer
from stepdown.core.task import Task
from stepdown.core.usage_log import LoggedCall
from stepdown.errors import DataError
from stepdown.evals.dataset import Columns, iter_samples

EXCERPT_CHARS = 160
INPUTS = ("text", "input", "prompt", "question", "message", "query")
REFERENCES = ("reference", "label", "expected", "answer", "output", "target", "gold")


class Candidate(Struct, frozen=True, kw_only=True):
    """A row that could be a sample. `session` ties the calls of one message of a log."""

    source: str
    line: int
    text: str
    reference: Any
    id: str | None = None
    session: str | None = None
    group: str | None = None
    segment: str | None = None
    model: str | None = None
    more: Mapping[str, Any] = {}


class TurnedDown(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A row that is not taken: where it stands, the kind of reason, and the reason."""

    source: str
    line: int
    kind: str
    why: str
    excerpt: str = ""


Judged: TypeAlias = Candidate | TurnedDown


class Mapped(Struct, frozen=True, kw_only=True):
    """Where things stand in the rows of a table, as dotted paths; None is not there."""

    input: str
    reference: str
    id: str | None = None
    group: str | None = None
    segment: str | None = None
    keep: tuple[str, ...] = ()


class LogAsked(Struct, frozen=True, kw_only=True):
    """Which calls of a log are the task's: of a step (None: any), answered by a model (a pattern).

    `contract` takes the bare input out of a request.
    """

    task: Task
    step: str | None = None
    model: str | None = None

    @property
    def contract(self) -> Contract:
        """The contract of the task."""
        return self.task.contract


def mapped(
    names: Sequence[str], *, said: Mapping[str, str | None], task: Task | None, source: str
) -> Mapped:
    """Return the columns of a table: as the user says, else by their usual names.

    `names` are the columns of its first row, `said` our name -> theirs.

    Raises:
        DataError: a column that was named, or one for input and reference, is not there.
    """
    for what, column in said.items():
        if column is not None and column.partition(".")[0] not in names:
            raise DataError(
                f"{source}: there is no column {column!r} for the {what}.",
                f"Its columns: {', '.join(names)}.",
            )
    wanted = [task.reference.partition(".")[0], task.name] if task is not None else []
    found = Mapped(
        input=said.get("input") or _named("input", INPUTS, names, source),
        reference=said.get("reference")
        or (task.reference if task is not None and wanted[0] in names else "")
        or _named("reference", (*wanted, *REFERENCES), names, source),
        id=said.get("id") or ("id" if "id" in names else None),
        group=said.get("group"),
        segment=said.get("segment"),
    )
    if found.input == found.reference:
        raise DataError(f"{source}: {found.input!r} cannot be both input and reference.")
    return found


def _named(what: str, usual: Sequence[str], names: Sequence[str], source: str) -> str:
    for name in usual:
        if name in names:
            return name
    raise DataError(
        f"{source}: no column is known to hold the {what}.",
        f"Say which: --{what} COLUMN. Its columns: {', '.join(names)}.",
    )


def from_row(
    row: Mapping[str, Any], where: Mapped, task: Task | None, source: str, line: int
) -> Judged:
    """Return what a row of a table becomes."""

    def turned(kind: str, why: str) -> TurnedDown:
        return TurnedDown(source=source, line=line, kind=kind, why=why, excerpt=excerpt(row))

    text, reference = taken(row, where.input), taken(row, where.reference)
    if not isinstance(text, str) or not text.strip():
        return turned("no input", f"{where.input!r} holds no text: {text!r}")
    if reference is None or reference == "":
        return turned("no reference", f"{where.reference!r} is empty or missing")
    known = _structured(reference, task)
    why = wrong_reference(task, text, known)
    if why is not None:
        return turned("wrong reference", why)
    return Candidate(
        source=source,
        line=line,
        text=text,
        reference=known,
        id=_text(None if where.id is None else taken(row, where.id)),
        group=_text(None if where.group is None else taken(row, where.group)),
        segment=_text(None if where.segment is None else taken(row, where.segment)),
        more={name: row[name] for name in where.keep if name in row},
    )


def from_call(call: LoggedCall, asked: LogAsked, source: str, line: int) -> Judged:
    """Return what a call of a log becomes; its answer is the reference."""

    def turned(kind: str, why: str, shown: str = "") -> TurnedDown:
        return TurnedDown(
            source=source, line=line, kind=kind, why=why, excerpt=shown[:EXCERPT_CHARS]
        )

    unusable = _unusable(call, asked)
    if unusable is not None:
        return turned(*unusable)
    text = asked.contract.take_input(call.messages or ())
    if text is None or not text.strip():
        said = (call.messages or ())[-1].text
        return turned("no match", "the request does not match the task's contract", said)
    reference = _answered(asked.task, call.answer or "")
    if reference is None:
        return turned("no answer", "the answer does not have the task's shape", call.answer or "")
    why = wrong_reference(asked.task, text, reference)
    if why is not None:
        return turned("no answer", why, call.answer or "")
    return Candidate(
        source=source,
        line=line,
        text=text,
        reference=reference,
        id=call.id,
        session=call.session,
        model=call.model,
    )


def _unusable(call: LoggedCall, asked: LogAsked) -> tuple[str, str] | None:
    """Return kind and reason where a call cannot be looked at any further."""
    if asked.model is not None and not fnmatchcase(call.model or "", asked.model):
        return "other model", f"answered by {call.model or 'an unknown model'}"
    if call.status != "ok":
        return "failed call", f"its status is {call.status!r}"
    if not call.messages or not call.answer:
        missing = "no messages" if not call.messages else "no answer"
        return "no text", f"the log holds {missing} of this call"
    return None


def _answered(task: Task, answer: str) -> Any:
    """Return the canonical answer in a logged one, None where there is none."""
    found = read_answer(task, task.ceiling, Completion(text=answer))
    if found.text is None:
        inside = task.contract.parse(answer)
        found = read_answer(task, task.ceiling, Completion(text=inside or "", recorded=True))
    if found.text is None or not task.fields:
        return found.text
    return msgspec.json.decode(found.text)


def wrong_reference(task: Task | None, text: str, reference: Any) -> str | None:
    """Return what is wrong with a reference by the task, None where nothing is."""
    if task is None:
        return None
    row: dict[str, Any] = {"id": "x", "text": text}
    put(row, task.reference, reference)
    try:
        next(iter_samples(task, [(0, row)], source="", columns=Columns()))
    except DataError as error:
        return str(error).removeprefix(", line 0: ")
    return None


def _structured(reference: Any, task: Task | None) -> Any:
    """Return a reference from a cell: JSON where the task wants an object, a number as text."""
    if isinstance(reference, bool):
        return "true" if reference else "false"
    if isinstance(reference, int | float):
        return f"{reference:g}" if isinstance(reference, float) else str(reference)
    if task is not None and isinstance(reference, str) and not task.labels:
        return _decoded(reference, task)
    return reference


def _decoded(text: str, task: Task) -> Any:
    wants_object = bool(task.fields) or task.scorer in ("patterns", "keeps_patterns")
    if not wants_object or text.lstrip()[:1] not in ("{", "["):
        return text
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def taken(row: Mapping[str, Any], path: str) -> Any:
    """Return what stands at a dotted path of a row, None where nothing does."""
    if path in row:
        return row[path]
    value: Any = row
    for step in path.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def put(row: dict[str, Any], path: str, value: Any) -> None:
    """Set what stands at a dotted path of a row."""
    *outer, last = path.split(".")
    for step in outer:
        row = row.setdefault(step, {})
    row[last] = value


def excerpt(row: Mapping[str, Any]) -> str:
    """Return the beginning of a row, for a person to find it."""
    text = msgspec.json.encode(row, enc_hook=str).decode()
    return text[:EXCERPT_CHARS]


def _text(value: Any) -> str | None:
    return None if value is None or value == "" else str(value)
