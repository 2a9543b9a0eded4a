"""The policies that were tested, as a table: what each keeps, costs, scores, and why not taken."""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from stepdown.certify.evidence import Certified
from stepdown.certify.tested import TestedPolicy
from stepdown.core.replay_array import replay_array
from stepdown.core.report import Cell, Claim, Column, Table
from stepdown.wiring.policy_short import short_policy
from stepdown.wiring.promise_words import figure_name

MOST = 8
SHOWN = (
    "All figures are of the certify rows; what was not tested there is shown, and proves nothing."
)
P_VALUE = (
    "p: chance of such rows if the promise were broken. The path is tested from where the tune "
    "rows say, towards the cheaper, with the share of delta that is left; of what passed the "
    "cheapest is taken; without a share left nothing is tested."
)

ROUTES = "routes ... at N pt: a call of the ceiling counts for N points of score there."


class Tried(Struct, frozen=True, kw_only=True):
    """One policy of the path on the certify rows; None is unknown, or was not tested."""

    place: int
    policy: str
    keeps: float
    cost_usd: float | None
    score: float
    loss: float
    figure: float | None
    p_value: float | None
    outcome: str


def alternatives(one: Certified, most: int = MOST) -> tuple[Tried, ...]:
    """Return at most `most` policies of the path: its ends, the chosen one and what surrounds it,
    and others evenly between.
    """
    if one.tested is None:
        return ()
    return tuple(_tried(one, place) for place in _places(one, most))


def _places(one: Certified, most: int) -> list[int]:
    size = len(one.along)
    last_passed = max(
        [0, *(p.index for p in one.tested.policies if p.passed)] if one.tested else [0]
    )
    wanted = [0, one.chosen, size - 1, last_passed, last_passed + 1, *_starts(one), one.chosen - 1]
    spread = [round(x) for x in np.linspace(0, size - 1, most)]
    found: list[int] = []
    for place in (*wanted, *spread):
        if 0 <= place < size and place not in found and len(found) < most:
            found.append(place)
    return sorted(found)


def _starts(one: Certified) -> list[int]:
    return [place for place, _ in one.tested.starts] if one.tested else []


def _tried(one: Certified, place: int) -> Tried:
    searched, table = one.along[place], one.certify_table
    done = replay_array(searched.policy, table, searched.derived)
    cost = float(done.cost_usd.mean())
    score = float(np.nan_to_num(done.score).mean())
    own = table.score[one.task.ceiling]
    tested = one.tested.policies[place] if one.tested else None
    return Tried(
        place=place,
        policy=short_policy(searched.policy, searched.derived),
        keeps=1.0 - float(done.answered_by(one.task.ceiling).mean()),
        cost_usd=None if np.isnan(cost) else cost,
        score=score,
        loss=float(np.nanmean(own) - score),
        figure=tested.figures[0] if tested is not None and tested.figures else None,
        p_value=None if tested is None else tested.p_value,
        outcome=_outcome(one, place, tested),
    )


def _outcome(one: Certified, place: int, tested: TestedPolicy | None) -> str:
    if place == one.chosen:
        return "chosen"
    if place == 0:
        return "needs no test"
    if tested is None or (tested.p_value is None and not tested.passed):
        return "not tested"
    if tested.passed:
        return "passed"
    return f"rejected, p > {tested.allowed:.3g}"


def alternatives_table(one: Certified) -> Table | None:
    """Return the table of alternatives, None where no path was tested."""
    rows = alternatives(one)
    if not rows:
        return None
    named = figure_name(one.locked.guarantee.promise)
    columns = (
        Column("policy"),
        Column("keeps", numeric=True),
        Column("$/1k", numeric=True),
        Column(named, numeric=True),
        Column("p", numeric=True),
        Column("test"),
        Column("score", numeric=True, optional=True),
    )
    return Table(
        title=f"{len(rows)} of {len(one.along)} policies on the path from the ceiling down",
        columns=columns,
        rows=tuple(_row(one, tried) for tried in rows),
        notes=(SHOWN, P_VALUE, *((ROUTES,) if any(" pt" in r.policy for r in rows) else ())),
    )


def _row(one: Certified, tried: Tried) -> tuple[Cell, ...]:
    main = one.locked.guarantee.promise
    figure = tried.loss if main == "max_loss" else tried.figure
    return (
        tried.policy,
        Claim(tried.keeps, "share"),
        Claim(None if tried.cost_usd is None else tried.cost_usd * 1000, "usd"),
        None if figure is None else Claim(figure, "" if main == "max_error_cost" else "score"),
        None if tried.p_value is None else f"{tried.p_value:.2g}",
        tried.outcome,
        Claim(tried.score, "score"),
    )
