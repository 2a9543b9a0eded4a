"""Draft a task for each step of an audit: what can be written down, and what cannot, with why.

It writes nothing and knows no file; a draft that has a `problem` is for a person to finish.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from stepdown.audit.answer_schema import schema_of_answers
from stepdown.audit.bill import StepBill
from stepdown.audit.contract import system_of
from stepdown.core.asked import Tool
from stepdown.core.contract import ANSWER, Contract
from stepdown.core.pattern import OPEN
from stepdown.core.task import TEXTS, TaskKind
from stepdown.core.usage_log import LoggedCall

FEW_ROWS = 20  # fewer logged answers cannot be divided into train, tune and certify
LABELLED: tuple[str, ...] = ("classify", "route", "judge")
OBJECTS: tuple[str, ...] = ("extract", "convert")
TEXT_SCORER = "token_f1_squad"  # the commonest of the scorers of texts that need no extra package


class Looked(Struct, frozen=True):
    """Calls of one step that were looked at, with the functions that they offered."""

    calls: tuple[LoggedCall, ...] = ()
    tools: tuple[Tool, ...] = ()


class Draft(Struct, frozen=True, kw_only=True):
    """A task as an audit would write it. `problem` says why it cannot be used as it is."""

    name: str
    step: str
    kind: TaskKind
    calls: int
    model: str | None
    other_models: int = 0
    contract: Contract = Contract()
    labels: tuple[str, ...] = ()
    schema: Mapping[str, Any] | None = None
    tools: tuple[Tool, ...] = ()
    scorer: str | None = None
    notes: tuple[str, ...] = ()
    problem: str | None = None


def draft(bill: StepBill, looked: Looked) -> Draft:
    """Return the draft of one step."""
    kind = _kind(bill.kind.kind)
    model = None if not bill.models else bill.models[0][0]
    contract = _contract(kind, bill.contract or Contract())
    found = Draft(
        name=task_name(bill.name),
        step=bill.name,
        kind=kind,
        calls=bill.calls,
        model=None if model == "unknown" else model,
        other_models=sum(n for _, n in bill.models[1:]),
        contract=contract,
        labels=bill.labels if kind in LABELLED else (),
        tools=looked.tools if kind == "tool_call" else (),
        schema=_schema(kind, contract, looked.calls),
        scorer=TEXT_SCORER if kind in TEXTS else None,
        notes=tuple(_notes(bill, contract, looked)),
    )
    return msgspec.structs.replace(found, problem=_problem(bill, found))


def _contract(kind: TaskKind, found: Contract) -> Contract:
    """Return the contract; around calls of functions and prose no parser expects anything."""
    wrapped = kind in LABELLED or kind in OBJECTS
    return found if wrapped else msgspec.structs.replace(found, output=ANSWER)


def task_name(step: str) -> str:
    """Return a step's name as the name of a task, which stands in names of files and paths."""
    kept = "".join(sign if sign.isalnum() or sign in "-_ " else "-" for sign in step)
    return kept.strip("- ") or "step"


def _kind(kind: str) -> TaskKind:
    known = ("classify", "route", "judge", *OBJECTS, "tool_call", *TEXTS, "embed")
    return kind if kind in known else "draft"  # type: ignore[return-value]


def _schema(
    kind: TaskKind, contract: Contract, calls: Sequence[LoggedCall]
) -> Mapping[str, Any] | None:
    if kind not in OBJECTS:
        return None
    values = [value for call in calls if (value := _value(contract, call.answer)) is not None]
    return schema_of_answers(values) if values else None


def _value(contract: Contract, answer: str | None) -> Any:
    inner = contract.parse(answer or "")
    try:
        value = msgspec.json.decode(inner or "")
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict | list) else None


def _problem(bill: StepBill, found: Draft) -> str | None:
    if bill.kind.kind == "embed":
        return "an embed step needs documents to search, which a log does not hold (embeddings.md)"
    if not bill.with_content:
        return f"the log holds no content of its {bill.calls:,} calls, only their cost"
    if bill.name == "unnamed":
        return "nobody named these calls and they have no system prompt to know them by"
    if bill.contract is None and found.kind != "tool_call":
        return "its requests follow no template that nearly all of them share"
    if bill.with_content < FEW_ROWS:
        return f"{bill.with_content} calls with content are too few; {FEW_ROWS} are needed"
    return _unfit(found)


def _unfit(found: Draft) -> str | None:
    if found.kind in LABELLED and len(found.labels) < 2:
        return f"it has only {len(found.labels)} different answer: a rule would do"
    if found.kind in OBJECTS and found.schema is None:
        return "its answers are no JSON that a schema can describe"
    if found.kind == "tool_call" and not found.tools:
        return "the log does not hold the functions that were offered"
    return None


def _notes(bill: StepBill, contract: Contract, looked: Looked) -> list[str]:
    notes = [f"{bill.kind.kind}: {'; '.join(bill.kind.evidence)}"]
    prompts = Counter(system_of(call.messages or ()) for call in looked.calls)
    if OPEN in (contract.system or "") or OPEN in contract.user:
        notes.append(
            f"{OPEN} stands for a variable of your prompt: any text matches there, and a tier with "
            "a prompt of its own does not see it"
        )
    if len(prompts) > 1 and contract.system is None:
        notes.append(
            f"{len(prompts)} system prompts stand under this name, so any is accepted; "
            f"`stepdown steps split {bill.name!r} --by template` makes a step of each"
        )
    if contract.turns == "many":
        notes.append("earlier turns and worked examples stay before the input, as history")
    if bill.kind.kind in ("open-ended", "unknown"):
        notes.append("open-ended work: scored by shared words only; think of a judge (judges.md)")
    return notes
