"""A replay as a report: the promise first, then figures, then why, then other rules."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from stepdown.core.lock import Estimate
from stepdown.core.report import Cell, Claim, Column, Document, Plot, Point, Prose, Section, Table
from stepdown.wiring.comparing import Comparison, Rule
from stepdown.wiring.deferring import SHARES, Deferral
from stepdown.wiring.estimating import claim_of
from stepdown.wiring.policy_states import states_table
from stepdown.wiring.promise_check import Kept
from stepdown.wiring.reason_words import reason_words
from stepdown.wiring.replaying import Replay

TONES = {"held": "good", "contradicted": "bad", "open": "warn"}
MEANS = (
    "held: the whole interval keeps the promise; contradicted: none of it does; open: these rows "
    "cannot tell."
)

NO_RANKING = (
    "APGR, CPT and the deferral curve need one threshold between two tiers that differ in score, "
    "or the path that `stepdown certify` keeps in .stepdown/frontier."
)


def document(found: Replay) -> Document:
    """Return the replay as a report."""
    sections = [Section(found.task, tuple(_told(found)))]
    if found.escalations or found.outside:
        sections.append(Section("Why calls went on", tuple(_why(found))))
    if found.comparison is not None:
        sections.append(Section("Beside other rules", tuple(_compared(found.comparison))))
    return Document(
        title="Replay",
        subtitle=f"{found.n:,} rows; no model was called, nothing is certified here",
        sections=tuple(sections),
    )


def _told(found: Replay) -> Iterator[Prose | Table]:
    yield from _promises(found)
    if found.states.lines:
        yield states_table(found.states)
    yield _figures(found)
    yield _answered(found)


def _promises(found: Replay) -> Iterator[Prose]:
    if not found.promises:
        yield Prose("This policy promises nothing: it is declared.", "warn")
    for one in found.promises:
        yield Prose(_promise(one), TONES[one.verdict])  # type: ignore[arg-type]
    yield Prose(f"{_state(found)} policy: {found.policy}.")
    if found.unread:
        names = ", ".join(found.unread)
        yield Prose(f"No row holds these signals, so they count as unknown: {names}.", "warn")


def _state(found: Replay) -> str:
    return {"certified": "Certified", "declared": "Declared"}.get(found.state, "Locked")


def _promise(one: Kept) -> str:
    said = {"held": "Held", "contradicted": "Contradicted", "open": "Open"}[one.verdict]
    why = f" ({one.why})" if one.why else ""
    return f"{said} on these rows: {one.words}{why}."


def _figures(found: Replay) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (f"promise: {one.promise.replace('_', ' ')}", claim_of(one.figure))
        for one in found.promises
        if one.promise not in ("max_loss", "floor")
    ]
    rows += [
        ("score", claim_of(found.score)),
        ("score of the ceiling", claim_of(found.ceiling_score)),
        ("loss against the ceiling", claim_of(found.loss)),
        ("cost of 1,000 calls", _per_1k(found.cost_usd)),
        ("the same, always the ceiling", _per_1k(found.always_ceiling_usd)),
        ("saved", claim_of(found.saved)),
        ("latency", claim_of(found.latency_s)),
    ]
    return Table(
        title="What it would have done",
        columns=(Column("figure"), Column("value", numeric=True)),
        rows=tuple(rows),
        notes=(MEANS,) if found.promises else (),
    )


def _per_1k(one: Estimate) -> Claim:
    def scaled(value: float | None) -> float | None:
        return None if value is None else value * 1000

    said = claim_of(one)
    return msgspec.structs.replace(
        said, value=scaled(said.value), low=scaled(said.low), high=scaled(said.high)
    )


def _answered(found: Replay) -> Table:
    rows = tuple((tier, Claim(share, "share")) for tier, share in found.kept.items())
    columns = (Column("answered by"), Column("share of rows", numeric=True))
    return Table(title="Who answered", columns=columns, rows=rows)


def _why(found: Replay) -> Iterator[Table]:
    columns = (
        Column("after"),
        Column("reason"),
        Column("rows", numeric=True),
        Column("share", numeric=True),
    )
    rows: list[tuple[Cell, ...]] = [
        (
            one.after,
            reason_words(one.reason),
            Claim(one.n, "count"),
            Claim(one.n / found.n, "share"),
        )
        for one in found.escalations
    ]
    if rows:
        yield Table(title="Escalations by reason", columns=columns, rows=tuple(rows))
    if found.outside:
        counted = tuple((reason_words(why), Claim(n, "count")) for why, n in found.outside.items())
        heads = (Column("what the policy did not foresee"), Column("rows", numeric=True))
        yield Table(title="Outside the guarantee", columns=heads, rows=counted)


def _compared(found: Comparison) -> Iterator[Table | Plot]:
    columns = (
        Column("rule"),
        Column("score", numeric=True),
        Column("less the locked policy's", numeric=True),
        Column("$/1k calls", numeric=True),
    )
    yield Table(
        title=f"Rules on the same {found.n:,} rows",
        columns=columns,
        rows=tuple(map(_rule, found.rules)),
        notes=found.notes,
    )
    yield _worth(found)
    if found.spots:
        yield _plot(found)


def _rule(one: Rule) -> tuple[Cell, ...]:
    cost = _per_1k(one.cost_usd)
    plain = Claim(cost.value, "usd", note=cost.note)
    return (
        one.name,
        claim_of(one.score),
        claim_of(one.difference) if one.difference else None,
        plain,
    )


def _worth(found: Comparison) -> Table:
    rows: list[tuple[Cell, ...]] = []
    if found.area is not None:
        rows.append(("area between static hull and oracle closed", claim_of(found.area)))
    rows += _deferral(found.deferral) if found.deferral else []
    return Table(
        title="What the ranking is worth",
        columns=(Column("figure"), Column("value", numeric=True)),
        rows=tuple(rows),
        notes=_ranked(found.deferral),
    )


def _deferral(one: Deferral) -> list[tuple[Cell, ...]]:
    gap = f"the gap from {one.weak} to {one.strong}"
    least = [
        (f"CPT({share:.0%}): least share of {one.strong} that recovers it", claim_of(cpt))
        for share, cpt in zip(SHARES, one.cpt, strict=True)
    ]
    return [
        (f"APGR: mean share recovered of {gap}", claim_of(one.apgr)),
        *least,
        ("area under the deferral curve", claim_of(one.area)),
    ]


def _ranked(one: Deferral | None) -> tuple[str, ...]:
    if one is None:
        return (NO_RANKING,)
    return (f"Ranked by {one.of}. APGR: 1 is all the gain at no cost, .5 a random order.",)


def _plot(found: Comparison) -> Plot:
    chosen = "locked policy"
    points = tuple(
        Point(s.cost_usd * 1000, s.score, label=s.label, series=s.series, chosen=s.series == chosen)
        for s in found.spots
    )
    return Plot(
        title="Cost against score",
        x_label="$ for 1,000 calls",
        y_label="score",
        points=points,
        x_unit="usd",
        y_unit="score",
        joined=True,
        notes=("Hull, prior and oracle are fitted on these rows; a line is a random mix.",),
    )
