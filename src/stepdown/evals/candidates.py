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
from stepdown.core.request import Completion, Message, ToolCall
from stepdown.core.requesting import read_answer
from stepdown.core.task import Task
from stepdown.core.usage_log import LoggedCall
from stepdown.errors import DataError
from stepdown.evals.dataset import Columns, Sample, iter_samples

EXCERPT_CHARS = 160
INPUTS = (
    *("text", "input", "prompt", "question", "message", "query"),
    *("content", "sentence", "utterance", "document", "body"),
)
OPTIONAL = ("id", "group", "segment", "history", "tools", "images")
REFERENCES = (
    *("reference", "label", "expected", "answer", "output", "target", "gold", "category", "class"),
    *("intent", "ground_truth", "expected_output", "expected_answer", "ideal", "completion"),
    "summary",
)


class Candidate(Struct, frozen=True, kw_only=True):
    """A row that could be a sample.

    `whole` is all that was said, by which rows are compared: the text, and what stands before it.
    `session` ties the calls of one message of a log. `around` is what stands around the text
    (history, tools, images), `more` are further columns of the row.
    """

    source: str
    line: int
    text: str
    reference: Any
    whole: str = ""
    id: str | None = None
    session: str | None = None
    group: str | None = None
    segment: str | None = None
    model: str | None = None
    around: Mapping[str, Any] = {}
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
    history: str | None = None
    tools: str | None = None
    images: str | None = None
    keep: tuple[str, ...] = ()

    @property
    def around(self) -> dict[str, str]:
        """The columns of what stands around the text, by our names."""
        found = {"history": self.history, "tools": self.tools, "images": self.images}
        return {name: column for name, column in found.items() if column is not None}


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
    names: Sequence[str],
    *,
    said: Mapping[str, str | None],
    task: Task | None,
    source: str,
    data: Columns | None = None,
) -> Mapped:
    """Return the columns of a table: as the user says, else as in the project, else as usual.

    `names` are the columns of its first row, `said` our name -> theirs, `data` the project's.

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
    own = data or Columns()
    optional = {name: said.get(name) or _if_there(getattr(own, name), names) for name in OPTIONAL}
    found = Mapped(
        input=said.get("input") or _named("input", (own.text, *INPUTS), names, source),
        reference=said.get("reference")
        or (task.reference if task is not None and wanted[0] in names else "")
        or _named("reference", (*wanted, *REFERENCES), names, source),
        id=optional["id"],
        group=optional["group"],
        segment=optional["segment"],
        history=optional["history"],
        tools=optional["tools"],
        images=optional["images"],
    )
    if found.input == found.reference:
        raise DataError(f"{source}: {found.input!r} cannot be both input and reference.")
    return found


def _if_there(name: str | None, names: Sequence[str]) -> str | None:
    return name if name in names else None


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
    around = {name: taken(row, column) for name, column in where.around.items()}
    alone = not (around.get("history") or around.get("images"))
    if not isinstance(text, str) or (alone and not text.strip()):
        return turned("no input", f"{where.input!r} holds no text: {text!r}")
    if reference is None or reference == "":
        return turned("no reference", f"{where.reference!r} is empty or missing")
    known = _structured(reference, task)
    whole = checked(task, text, known, around)
    if isinstance(whole, Wrong):
        return turned("wrong reference", whole.why)
    return Candidate(
        source=source,
        line=line,
        text=text,
        reference=known,
        whole=whole,
        id=_text(None if where.id is None else taken(row, where.id)),
        group=_text(None if where.group is None else taken(row, where.group)),
        segment=_text(None if where.segment is None else taken(row, where.segment)),
        around={name: value for name, value in around.items() if value is not None},
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
    taken = asked.contract.take(call.messages or ())
    text = None if taken is None else taken.text
    if taken is None or text is None or not text.strip():
        said = (call.messages or ())[-1].text
        return turned("no match", "the request does not match the task's contract", said)
    reference = _answered(asked.task, call.answer or "")
    if reference is None:
        return turned("no answer", "the answer does not have the task's shape", call.answer or "")
    around = {"history": plain_messages(taken.history)} if taken.history else {}
    whole = checked(asked.task, text, reference, around)
    if isinstance(whole, Wrong):
        return turned("no answer", whole.why, call.answer or "")
    return Candidate(
        source=source,
        line=line,
        text=text,
        reference=reference,
        whole=whole,
        id=call.id,
        session=call.session,
        model=call.model,
        around=around,
    )


def plain_messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Return messages as a row holds them: in the shape of the OpenAI chat API."""
    return [_plain_message(message) for message in messages]


def _plain_message(message: Message) -> dict[str, Any]:
    plain: dict[str, Any] = {"role": message.role, "content": message.text}
    if message.tool_calls:
        plain["tool_calls"] = [
            {"id": one.id, "type": "function", "function": _function(one)}
            for one in message.tool_calls
        ]
    return plain if message.tool_call_id is None else plain | {"tool_call_id": message.tool_call_id}


def _function(call: ToolCall) -> dict[str, str]:
    return {"name": call.name, "arguments": call.arguments}


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
    """Return the canonical answer in a logged one as a reference, None where there is none."""
    found = read_answer(task, task.ceiling, _completion(task, answer))
    if found.text is None:
        inside = task.contract.parse(answer)
        found = read_answer(task, task.ceiling, Completion(text=inside or "", recorded=True))
    if found.text is None or not (task.structured or task.kind == "tool_call"):
        return found.text
    return msgspec.json.decode(found.text)


def _completion(task: Task, answer: str) -> Completion:
    """Return a logged answer as a completion; calls of tools are logged as JSON."""
    if task.kind == "tool_call" and answer.startswith('{"tool_calls":'):
        calls = msgspec.json.decode(answer, type=dict[str, tuple[ToolCall, ...]])
        return Completion(text="", tool_calls=calls["tool_calls"])
    return Completion(text=answer)


class Wrong(Struct, frozen=True):
    """What is wrong with a row, by its task."""

    why: str


def checked(
    task: Task | None, text: str, reference: Any, around: Mapping[str, Any] | None = None
) -> str | Wrong:
    """Return all that is said in a row, or what is wrong with it by the task."""
    if task is None:
        return text
    around = around or {}
    said = text if text.strip() or around.get("history") else "(image)"
    nothing = {"history": None, "tools": None}
    row: dict[str, Any] = {"id": "x", "text": said, **nothing, **around}
    put(row, task.reference, reference)
    where = Columns(history="history", tools="tools")
    try:
        sample = next(iter_samples(task, [(0, row)], source="", columns=where))
    except DataError as error:
        return Wrong(str(error).removeprefix(", line 0: "))
    return said_in(sample, around.get("images"))


def said_in(sample: Sample, images: object = None) -> str:
    """Return all that is said in a sample, by which it is compared with others."""
    before = [message.text for message in sample.history]
    shown = [] if not images else [str(images)]
    return "\n".join([*before, sample.input, *shown])


def _structured(reference: Any, task: Task | None) -> Any:
    """Return a reference from a cell: JSON where the task wants it, else a number as text."""
    if task is not None and (task.structured or not task.labels):
        return _decoded(reference, task) if isinstance(reference, str) else reference
    if isinstance(reference, bool):
        return "true" if reference else "false"
    if isinstance(reference, int | float):
        return f"{reference:g}" if isinstance(reference, float) else str(reference)
    return reference


def _decoded(text: str, task: Task) -> Any:
    told = task.structured or task.kind in ("tool_call", "embed")
    if not told and (task.scorer == "exact" or text.lstrip()[:1] not in ("{", "[")):
        return text
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError):
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
