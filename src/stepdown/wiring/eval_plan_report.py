"""A plan of an eval as a report and as plain JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stepdown.core.report import Cell, Claim, Column, Document, Prose, Section, Table
from stepdown.wiring.eval_planning import Candidate, EvalPlan, Spending

OUTPUTS = {
    "none": "a vector, which has none",
    "other": "as the kept answers of the task's other tiers",
    "references": "as the references",
    "limit": "as long as its prompt's max_tokens allows, at most",
}


def document(found: Sequence[EvalPlan]) -> Document:
    """Return the plans as a report."""
    return Document(
        title="Eval plan",
        sections=tuple(_section(one) for one in found),
        footer="A forecast; nothing was called and nothing was spent.",
    )


def _section(one: EvalPlan) -> Section:
    return Section(one.task.name, (_verdict(one), _takes(one), _costs(one)))


def _verdict(one: EvalPlan) -> Prose:
    rows = f"{one.rows:,} labelled {' and '.join(one.parts)} rows"
    chances = [(c.needed.today or 0.0, c.tier) for c in one.candidates]
    if not chances:
        return Prose("There is nothing smaller than the ceiling to decide on.", "warn")
    best, tier = max(chances)
    said = f"Today's {rows} let {tier} pass with a chance of {best:.0%}"
    if best >= one.power:
        return Prose(f"{said}: enough to decide, if it is as good as thought.", "good")
    more = [c.needed.rows for c in one.candidates if c.needed.rows is not None]
    if not more:
        why = one.candidates[0].needed.why
        return Prose(f"{said}. No number of labels would help: {why}.", "bad")
    return Prose(f"{said}. {_advice(one, min(more))}", "warn")


def _advice(one: EvalPlan, rows: int) -> str:
    spare = one.all_rows - one.rows
    lack = max(0, rows - one.rows)
    words = f"About {rows:,} rows would do: {lack:,} more."
    return f"{words} The data hold {spare:,} other labelled rows (--rows)." if spare else words


def _takes(one: EvalPlan) -> Table:
    asked = one.question
    floor = "" if asked.floor is None else f" and a score above {asked.floor:g}"
    tests = ", ".join(dict.fromkeys(c.needed.test for c in one.candidates))
    passes = (
        f"passes: loses less than {asked.max_loss:g} against {one.task.ceiling}{floor}; chance of "
        f"any wrong pass {asked.delta:g} over {len(one.candidates)} tiers (Holm)."
    )
    rows = f"rows needed: for a chance of {one.power:.0%}, by the test that eval runs ({tests})."
    notes = [passes, rows, *_basis(one)]
    notes += [f"{c.tier}: {c.needed.why}." for c in one.candidates if c.needed.why]
    return Table(
        title="What it takes to decide",
        columns=(
            Column("tier"),
            Column("score", numeric=True),
            Column("ceiling", numeric=True),
            Column("differs", numeric=True),
            Column("rows needed", numeric=True),
            Column("chance today", numeric=True),
            Column("thought from"),
        ),
        rows=tuple(_candidate(c) for c in one.candidates),
        notes=tuple(notes),
    )


def _basis(one: EvalPlan) -> list[str]:
    found = []
    if any(c.basis == "assumed" for c in one.candidates):
        found.append(
            "assumed: nobody measured this. Say what you think with --score, --ceiling and "
            "--discordance (share of rows on which one is right and the other wrong)."
        )
    effects = [c.rates.effect for c in one.candidates if c.rates.effect is not None]
    worst = max(effects, default=1.0)
    if worst > 1.0:
        found.append(f"Rows in groups count for less: {worst:.2f} of them as one (Kish 1965).")
    if any(c.basis == "assumed" and c.rates.grouped for c in one.candidates):
        found.append(
            f"{one.groups:,} groups: where it is assumed, rows of a group are thought all alike, "
            "the most that groups can cost; a pilot measures it."
        )
    return found


def _candidate(c: Candidate) -> tuple[Cell, ...]:
    basis = f"{c.rates.n:,} kept pairs" if c.basis == "kept" else "assumed"
    rows: Cell = (
        f"over {c.needed.cap:,}" if c.needed.rows is None else Claim(c.needed.rows, "count")
    )
    return (
        c.tier,
        Claim(c.rates.score, "score"),
        Claim(c.rates.ceiling, "score"),
        Claim(c.rates.discordance, "share"),
        "never" if c.needed.rows is None and c.needed.power == 0.0 else rows,
        Claim(c.needed.today, "share"),
        basis,
    )


def _costs(one: EvalPlan) -> Table:
    return Table(
        title="What the run costs",
        columns=(
            Column("tier"),
            Column("calls", numeric=True),
            Column("kept", numeric=True),
            Column("$/1k calls", numeric=True),
            Column("these rows", numeric=True),
            Column("rows needed", numeric=True),
            Column("time", numeric=True),
        ),
        rows=tuple(_spending(s) for s in one.spending),
        total=_total(one.spending),
        notes=tuple(_cost_notes(one)),
    )


def _spending(s: Spending) -> tuple[Cell, ...]:
    return (
        s.tier,
        Claim(s.calls, "count"),
        Claim(s.kept, "count"),
        _per_1k(s.per_call),
        s.now,
        s.to_decide,
        s.seconds,
    )


def _per_1k(claim: Claim) -> Claim:
    """Return the dollars of a thousand calls; the interval stands with the sums."""
    return Claim(None if claim.value is None else 1000 * claim.value, "usd")


def _total(spending: Sequence[Spending]) -> tuple[Cell, ...]:
    return (
        "total",
        Claim(sum(s.calls for s in spending), "count"),
        Claim(sum(s.kept for s in spending), "count"),
        None,
        _sum([s.now for s in spending]),
        _sum([s.to_decide for s in spending]),
        _sum([s.seconds for s in spending]),
    )


def _sum(claims: Sequence[Claim]) -> Claim:
    """Return the sum of what is known; unknown where nothing is."""
    known = [claim.value for claim in claims if claim.value is not None]
    unknown = len(claims) - len(known)
    note = f"and {unknown} unknown" if unknown and known else ""
    unit = claims[0].unit if claims else "usd"
    return Claim(sum(known) if known else None, unit, note=note)


def _cost_notes(one: EvalPlan) -> list[str]:
    notes = ["kept: answered in an earlier run, and not paid for again."]
    kept = [s.tier for s in one.spending if s.output_from == "kept calls"]
    guessed = [s.tier for s in one.spending if s.output_from in OUTPUTS]
    if kept:
        notes.append(f"From kept calls: {', '.join(kept)}.")
    if guessed:
        notes.append(
            f"From prices and tokens: {', '.join(guessed)}; without reasoning. "
            f"Tokens {one.token_method}."
        )
        notes += [
            f"Length of the answers: {s.tier}: {OUTPUTS[s.output_from]}."
            for s in one.spending
            if s.output_from in OUTPUTS
        ]
    if one.task.judge is not None:
        notes.append(f"What {one.task.judge.tier} is paid for judging is not counted.")
    unknown = [s.tier for s in one.spending if s.per_call.value is None]
    if unknown:
        notes.append(f"Cost unknown (no price, or no measured time): {', '.join(unknown)}.")
    waiting = [tier for tier in one.task.tiers if tier not in [s.tier for s in one.spending]]
    if waiting:
        notes.append(f"Not trained or not asked for: {', '.join(waiting)}.")
    free = [s.tier for s in one.spending if s.free]
    if free:
        notes.append(
            f"recorded: {', '.join(free)}: replayed, so nothing is paid; priced as called."
        )
    return notes


def as_data(one: EvalPlan) -> dict[str, Any]:
    """Return a plan as plain JSON."""
    return {
        "task": one.task.name,
        "parts": one.parts,
        "rows": one.rows,
        "all_rows": one.all_rows,
        "groups": one.groups,
        "max_loss": one.question.max_loss,
        "delta": one.question.delta,
        "power": one.power,
        "candidates": one.candidates,
        "spending": one.spending,
    }
