"""`eval show`: the answers of a run beside their references, those that were asked for."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct

from stepdown.core.answered import Answered
from stepdown.core.report import Document, Prose, Section
from stepdown.errors import DataError
from stepdown.wiring.run_names import NamedRun, named_run
from stepdown.wiring.run_reading import answers
from stepdown.wiring.workspace import Workspace

CUT = 1200  # characters of one text in the terminal


class Wanted(Struct, frozen=True, kw_only=True):
    """Which answers: of one tier, only those below the full score, with a reference, an id."""

    tier: str | None = None
    failures: bool = False
    label: str | None = None
    sample: str | None = None


class Shown(Struct, frozen=True, kw_only=True):
    """Answers of a run: `answers` of `matching` that were asked for, of `n` in all."""

    run: NamedRun
    answers: tuple[Answered, ...]
    matching: int
    n: int
    kinds: dict[str, int]


def show(workspace: Workspace, said: str, wanted: Wanted, limit: int | None) -> Shown:
    """Return the answers of a run that were asked for, at most `limit` of them.

    Raises:
        DataError: no such run, tier, reference or sample.
    """
    run = named_run(workspace, said)
    tiers = _tiers(run, wanted)
    found: list[Answered] = []
    kinds: Counter[str] = Counter()
    labels: Counter[str] = Counter()
    matching = n = 0
    for one in _all(workspace, run, tiers):
        n += 1
        kinds[_kind(one)] += 1
        labels[one.label or ""] += 1
        if fits(one, wanted):
            matching += 1
            if limit is None or len(found) < limit:
                found.append(one)
    _check(wanted, matching, labels)
    return Shown(run=run, answers=tuple(found), matching=matching, n=n, kinds=dict(kinds))


def _tiers(run: NamedRun, wanted: Wanted) -> Sequence[str]:
    known = [part.tier for part in run.head.parts]
    one = wanted.tier or run.tier
    if one is not None and one not in known:
        raise DataError(f"The run has no tier {one!r}.", f"It has: {', '.join(known)}.")
    return known if one is None else [one]


def _all(workspace: Workspace, run: NamedRun, tiers: Sequence[str]) -> Iterator[Answered]:
    for tier in tiers:
        yield from answers(workspace, run.head, tier)


def fits(one: Answered, wanted: Wanted) -> bool:
    """Say whether an answer was asked for."""
    failed = one.failure is not None or one.right is False
    return (
        (failed or not wanted.failures)
        and wanted.label in (None, one.label)
        and wanted.sample in (None, one.id)
    )


def _kind(one: Answered) -> str:
    if one.failure is not None:
        return one.failure
    return {True: "full score", False: "less", None: "not scored"}[one.right]


def _check(wanted: Wanted, matching: int, labels: Counter[str]) -> None:
    if matching:
        return
    if wanted.label is not None and not labels[wanted.label]:
        near = difflib.get_close_matches(wanted.label, list(labels), n=1)
        listed = ", ".join(name for name, _ in labels.most_common(12) if name)
        hint = (
            f"Did you mean {near[0]!r}?"
            if near and near[0]
            else f"References: {listed or 'no labels'}."
        )
        raise DataError(f"No sample of the run has the reference {wanted.label!r}.", hint)
    if wanted.sample is not None:
        raise DataError(
            f"The run has no sample {wanted.sample!r} that fits.", "Its id, as in the data."
        )


def facts(found: Shown) -> tuple[tuple[str, str], ...]:
    """Return what stands above the answers."""
    head = found.run.head
    counts = ", ".join(f"{kind} {n:,}" for kind, n in sorted(found.kinds.items()))
    return (
        ("run", f"{found.run.name}, {head.date[:16].replace('T', ' ')}"),
        ("rows", head.rows),
        ("scorer", head.scorer),
        ("answers", counts),
        ("shown", f"{len(found.answers):,} of {found.matching:,} that were asked for"),
    )


def document(found: Shown) -> Document:
    """Return the answers as a report for the terminal."""
    return Document(
        title="Eval show",
        subtitle=found.run.head.task,
        facts=facts(found),
        sections=tuple(_section(one) for one in found.answers),
        footer="" if found.answers else "No answer was below the full score.",
    )


def _section(one: Answered) -> Section:
    score = "not scored" if one.score is None else f"{one.score:.2f}"
    repeat = f", repeat {one.repeat + 1}" if one.repeat else ""
    blocks = (
        ("before", one.before),
        ("asked", one.input),
        ("reference", "none" if one.reference is None else one.reference),
        ("answer", "none" if one.answer is None else one.answer),
        ("why", ": ".join(part for part in (one.failure, one.detail) if part)),
    )
    lines = [f"{name}: {_cut(text)}" for name, text in blocks if text]
    mark = {True: "✓", False: "✗", None: "–"}[one.right]
    return Section(f"{mark} {score}  {one.id}  {one.tier}{repeat}", (Prose("\n".join(lines)),))


def _cut(text: str) -> str:
    return text if len(text) <= CUT else f"{text[:CUT]}… ({len(text):,} characters)"


def as_data(found: Shown) -> dict[str, Any]:
    """Return the answers as plain JSON."""
    return {
        "run": found.run.head,
        "tier": found.run.tier,
        "n": found.n,
        "matching": found.matching,
        "kinds": found.kinds,
        "answers": found.answers,
    }
