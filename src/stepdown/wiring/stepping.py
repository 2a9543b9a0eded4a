"""`steps`: list, name, merge, split and forget the steps of a log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from stepdown.adapters.tables.atomic import replacing
from stepdown.audit.bill import AuditReport, StepBill
from stepdown.audit.contract import system_of
from stepdown.audit.skeleton import joined, skeleton
from stepdown.audit.step_rules import WAYS, StepRule, StepRules, first_asked
from stepdown.config.naming import nearest
from stepdown.config.steps_file import STEPS, steps_text
from stepdown.core.call_columns import Batch
from stepdown.core.pattern import OPEN
from stepdown.core.report import Cell, Claim, Column, Document, Section, Table
from stepdown.errors import ConfigError, InputError
from stepdown.wiring.step_calls import StepOf, look

FEW_WORDS = 2  # fewer fixed words fit too many prompts


class StepLine(Struct, frozen=True, kw_only=True):
    """One step: how it is known, how many calls, and the template of its system prompt."""

    name: str
    known_by: str
    calls: int
    share: float | None
    template: str


class StepList(Struct, frozen=True, kw_only=True):
    """The steps of a log, and what the rules say."""

    steps: tuple[StepLine, ...]
    rules: StepRules


def listed(report: AuditReport, rules: StepRules) -> StepList:
    """Return the steps of a report."""
    lines = [
        StepLine(
            name=bill.name,
            known_by=bill.rule,
            calls=bill.calls,
            share=bill.share,
            template=_shown(bill),
        )
        for bill in report.steps
    ]
    return StepList(steps=tuple(lines), rules=rules)


def _shown(bill: StepBill) -> str:
    said = bill.contract.system if bill.contract and bill.contract.system else ""
    return " ".join((said or (bill.found[0].template if bill.found else "")).split())[:120]


def named(
    rules: StepRules,
    report: AuditReport,
    batches: Callable[[], Iterable[Batch]],
    olds: Sequence[str],
    new: str,
) -> StepRules:
    """Return the rules with some steps of a report under a new name.

    Raises:
        ConfigError: a step that the log does not hold, or that nothing tells from others.
    """
    bills = {bill.name: bill for bill in report.steps}
    for old in olds:
        if old not in bills:
            raise ConfigError(f"The log holds no step {old!r}.", nearest(old, bills, "steps"))
    known = {rule.name: rule for rule in rules.steps}
    was: list[str] = []
    system: list[str] = []
    user: list[str] = []
    for old in olds:
        rule = known.pop(old, None)
        if rule is not None:
            was, system, user = [*was, *rule.was], [*system, *rule.system], [*user, *rule.user]
        elif bills[old].found:
            by_system, template = _template(report, batches, old)
            (system if by_system else user).append(template)
        else:
            was.append(old)
    mine = known.get(new, StepRule(name=new))
    kept = [name for name in was if name != new]
    known[new] = replace(
        mine,
        was=_once((*mine.was, *kept)),
        system=_once((*mine.system, *system)),
        user=_once((*mine.user, *user)),
    )
    steps = tuple(rule for rule in known.values() if rule.was or rule.system or rule.user)
    return replace(rules, steps=steps)


def _once(values: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


def _template(
    report: AuditReport, batches: Callable[[], Iterable[Batch]], old: str
) -> tuple[bool, str]:
    """Return the template by which calls of a step are known, and whether it is their system's."""
    looked = look(batches(), StepOf(report)).get(old)
    said = [call.messages or () for call in looked.calls] if looked else []
    for by_system, text_of in ((True, system_of), (False, first_asked)):
        texts = list(filter(None, map(text_of, said)))
        template = joined(skeleton(texts)) if texts else ""
        if len(template.replace(OPEN, " ").split()) >= FEW_WORDS:
            return by_system, template
        if by_system and texts:
            break  # calls that have a system prompt are not looked at by what they ask
    raise ConfigError(
        f"The prompts of {old!r} share no text by which its calls could be known again.",
        "Give the calls a name in their metadata: `step`.",
    )


def split(rules: StepRules, step: str, by: str) -> StepRules:
    """Return the rules with one step divided.

    Raises:
        InputError: not one of the ways.
    """
    if by not in WAYS and not (by.startswith("metadata.") and by != "metadata."):
        raise InputError(f"--by {by!r} is no way to split.", f"Use one of {', '.join(WAYS)}.")
    return replace(rules, split={**rules.split, step: by})


def forgotten(rules: StepRules, name: str) -> StepRules:
    """Return the rules without those of a name.

    Raises:
        ConfigError: there are none.
    """
    names = [*(rule.name for rule in rules.steps), *rules.split]
    if name not in names:
        raise ConfigError(f"{STEPS} says nothing of {name!r}.", nearest(name, names, "names"))
    return StepRules(
        steps=tuple(rule for rule in rules.steps if rule.name != name),
        split={step: by for step, by in rules.split.items() if step != name},
    )


def keep(root: Path, rules: StepRules) -> Path:
    """Write the rules into a folder and return the path."""
    path = root / STEPS
    with replacing(path) as temporary:
        temporary.write_text(steps_text(rules), encoding="utf-8")
    return path


def steps_document(found: StepList) -> Document:
    """Return the list as a document."""
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (
            one.name,
            one.known_by,
            Claim(one.calls, "count"),
            None if one.share is None else Claim(one.share, "share"),
            one.template,
        )
        for one in found.steps
    )
    columns = (
        Column("step"),
        Column("known by"),
        Column("calls", numeric=True),
        Column("of the bill", numeric=True),
        Column("system prompt", optional=True),
    )
    split = [f"{step} is split by {by}." for step, by in found.rules.split.items()]
    notes = ("Name one: stepdown steps name step-1 NAME LOG", *split)
    table = Table(title="Steps", columns=columns, rows=rows, notes=notes)
    return Document(title="Steps of the log", sections=(Section("Steps", (table,)),))
