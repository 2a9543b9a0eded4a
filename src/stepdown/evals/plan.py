"""Before a cent is spent: how many labelled rows decide, and whether those at hand can.

By the test that the eval itself runs (`decision`), summed over all outcomes (`stats.power`). Rates
come from kept calls or are assumed; whoever shows a plan says which.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from msgspec import Struct
from msgspec.structs import replace

from stepdown.errors import InputError
from stepdown.evals.decision import EXACT_PLAN_ROWS, ONE_GROUP, Evidence, Question, design_effect

if TYPE_CHECKING:
    from stepdown.stats.power import LabelsNeeded

POWER = 0.8  # the usual chance of seeing what is there (Cohen 1988)
EVEN = 1e-9


class Rates(Struct, frozen=True, kw_only=True):
    """What is thought of a candidate beside the ceiling.

    `minus` and `plus` are the shares of rows that score 1 less and 1 more; graded scores count as
    a 0/1 pair with the same mean and variance. `n` rows told it, 0 for an assumption; `effect` is
    how many rows in groups count as one (Kish 1965); None where all are one
    group, from which nothing can be planned; `grouped` that there are groups at all, which takes
    another test.
    """

    minus: float
    plus: float
    score: float
    ceiling: float
    n: int = 0
    effect: float | None = 1.0
    grouped: bool = False

    @property
    def discordance(self) -> float:
        """The share of rows on which the scores differ."""
        return self.minus + self.plus

    @property
    def loss(self) -> float:
        """The true loss that is thought."""
        return self.minus - self.plus


class Needed(Struct, frozen=True, kw_only=True):
    """Rows that decide with the power asked for: None when even `cap` rows have less.

    `today` is the chance that the rows at hand pass, None where that is not asked. `why` says what
    makes it hopeless, empty when it is not.
    """

    rows: int | None
    today: float | None
    power: float
    cap: int
    test: str
    why: str = ""


def assumed_rates(score: float, ceiling: float, discordance: float) -> Rates:
    """Return assumed rates.

    Raises:
        InputError: they contradict each other.
    """
    for name, value in (("score", score), ("ceiling", ceiling), ("discordance", discordance)):
        if not 0 <= value <= 1:
            raise InputError(f"--{name} {value:g} is not a share.", "Give a number of 0 to 1.")
    gap = ceiling - score
    most = min(1.0, 2 * min(score, ceiling, 1 - score, 1 - ceiling) + abs(gap))
    if not abs(gap) - EVEN <= discordance <= most + EVEN:
        raise InputError(
            f"--discordance {discordance:g} cannot be: scores {score:g} and {ceiling:g} differ on "
            f"{abs(gap):.3g} of the rows at least and {most:.3g} at most.",
            "It is the share of rows on which one is right and the other wrong.",
        )
    return Rates(
        minus=max(0.0, (discordance + gap) / 2),
        plus=max(0.0, (discordance - gap) / 2),
        score=score,
        ceiling=ceiling,
    )


def seen_rates(each: Evidence) -> Rates:
    """Return the rates that paired scores show, each half a row away from none (as `decision`)."""
    import numpy as np

    gap = each.differences
    n, mean = gap.size, float(gap.mean())
    apart = min(1.0, float(np.mean(gap**2)))
    return Rates(
        minus=((apart - mean) / 2 * n + 0.5) / (n + 1),
        plus=max(0.0, (apart + mean) / 2) * n / (n + 1),
        score=float(np.mean(each.scores)),
        ceiling=float(np.mean(each.ceiling)),
        n=n,
        effect=design_effect(gap, each.groups),
        grouped=each.groups is not None,
    )


def tied(rates: Rates, groups: Sequence[str | None]) -> Rates:
    """Return assumed rates for rows in groups, which are thought to be all alike within a group.

    That is the most that groups can cost: Kish (1965), intraclass correlation 1, sum of squared
    sizes over the sum of sizes. A row without a group stands alone.
    """
    sizes = Counter(group for group in groups if group is not None)
    if all(size == 1 for size in sizes.values()):
        return rates
    alone = groups.count(None)
    if not alone and len(sizes) == 1:
        return replace(rates, effect=None, grouped=True)
    effect = (alone + sum(size**2 for size in sizes.values())) / len(groups)
    return replace(rates, effect=effect, grouped=True)


def needed(
    rates: Rates, asked: Question, candidates: int, rows: int | None, *, power: float = POWER
) -> Needed:
    """Return the rows that let the candidate pass with a chance of `power`.

    Planned at delta over the number of candidates, which is what Holm asks of the first that
    passes: later ones need less. Groups cost their design effect.
    """
    from stepdown.stats.power import ROW_CAP

    delta = asked.delta / max(1, candidates)
    test = _test(rates, asked)
    if rates.effect is None:
        return Needed(rows=None, today=0.0, power=0.0, cap=ROW_CAP, test=test, why=ONE_GROUP)
    if rates.loss >= asked.max_loss:
        why = f"its loss is thought to be {rates.loss:.3f}, and {asked.max_loss:g} is allowed"
        today = _today(rates, asked, delta, rows, test)
        return Needed(rows=None, today=today, power=0.0, cap=ROW_CAP, test=test, why=why)
    plan = _planned(rates, asked, delta, power, test)
    floor = _floor_plan(rates, asked, delta, power)
    found = [each.rows for each in (plan, floor) if each is not None]
    most = None if None in found else max(n for n in found if n is not None)
    return Needed(
        rows=None if most is None else math.ceil(most * rates.effect),
        today=_today(rates, asked, delta, rows, test),
        power=power,
        cap=plan.cap,
        test=plan.method,
        why="" if most is not None else f"even {plan.cap:,} rows would rarely tell",
    )


def _test(rates: Rates, asked: Question) -> Literal["exact", "betting"]:
    return "exact" if asked.binary and not rates.grouped else "betting"


def _planned(rates: Rates, asked: Question, delta: float, power: float, test: str) -> LabelsNeeded:
    """Plan by betting, which is quick and an upper bound, then by the exact test below it."""
    from stepdown.stats.power import labels_needed

    pair = (rates.minus, rates.plus, asked.max_loss, delta, power)
    plan = labels_needed(*pair, test="betting")
    if test == "exact":
        cap = EXACT_PLAN_ROWS if plan.rows is None else min(plan.rows, EXACT_PLAN_ROWS)
        exact = labels_needed(*pair, cap=cap, test="exact")
        plan = plan if exact.rows is None else exact
    return plan


def _floor_plan(rates: Rates, asked: Question, delta: float, power: float) -> LabelsNeeded | None:
    from stepdown.stats.power import labels_needed_kept

    if asked.floor is None:
        return None
    return labels_needed_kept(rates.score, asked.floor, delta, power)


def _today(
    rates: Rates, asked: Question, delta: float, rows: int | None, test: str
) -> float | None:
    from stepdown.stats.noninferiority import EXACT_ROWS
    from stepdown.stats.power import kept_accuracy_power, noninferiority_power

    if rows is None:
        return None
    n = int(rows / (rates.effect or rows))
    exact = test == "exact" and n <= min(EXACT_ROWS, EXACT_PLAN_ROWS)
    pair = (rates.minus, rates.plus, asked.max_loss, delta)
    chance = noninferiority_power(n, *pair, test="exact" if exact else "betting")
    if asked.floor is None:
        return chance
    return min(chance, kept_accuracy_power(n, rates.score, asked.floor, delta))
