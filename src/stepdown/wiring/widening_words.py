"""What a task needs before more of its traffic may meet the policy, in words and figures."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from stepdown.core.beside import Shadow
from stepdown.core.lock import Guarantee
from stepdown.stats.intervals import wilson
from stepdown.stats.widening import widening

# Promises that agreement with today's answers can prove: a kept answer that agrees loses nothing.
BY_AGREEMENT = ("max_loss", "max_disagreement")
DELTA = 0.1  # of a lock that says none: `Promise.delta` starts there


class Needed(Struct, frozen=True, kw_only=True):
    """Agreement seen in shadow, and what is missing to widen.

    `low` and `high` are a Wilson interval at 95% for one look; `bound` holds at every look.
    """

    n: int
    agreed: int
    not_comparable: int
    agreement: float | None
    low: float | None
    high: float | None
    bound: float | None
    target: float | None
    more: int | None
    enough: bool
    words: str


def needed(task: str, stated: Guarantee, shadows: Sequence[Shadow]) -> Needed:
    """Return what the shadow runs of a task say about widening."""
    told = [one.agreed for one in shadows if one.agreed is not None]
    n, agreed = len(told), sum(told)
    seen = wilson(agreed, n) if n else None
    target, why = _target(stated)
    test = None if target is None else widening(told, target, stated.delta or DELTA)
    words = why if test is None else _words(task, n, agreed, target or 0.0, test.more)
    return Needed(
        n=n,
        agreed=agreed,
        not_comparable=len(shadows) - n,
        agreement=agreed / n if n else None,
        low=None if seen is None else seen.low,
        high=None if seen is None else seen.high,
        bound=None if test is None or not n else test.bound,
        target=target,
        more=None if test is None else test.more,
        enough=test is not None and test.is_enough,
        words=words,
    )


def _target(stated: Guarantee) -> tuple[float | None, str]:
    """Return the agreement that proves the promise, or why none does."""
    if stated.level is None or stated.promise in ("", "none"):
        return None, "nothing is promised, so no test decides; look at the disagreements"
    if stated.promise not in BY_AGREEMENT:
        return None, f"agreement cannot prove {stated.promise}; it needs labels: `stepdown label`"
    return 1.0 - stated.level, ""


def _words(task: str, n: int, agreed: int, target: float, more: int | None) -> str:
    goal = f"agreement above {target:.1%}"
    if more == 0:
        return f"{goal} is shown, at any look: you may widen"
    if not n:
        return f"{more:,} shadow runs that all agree would show {goal}"
    if more is not None:
        return f"about {more:,} more at {agreed / n:.1%} would show {goal}"
    return (
        f"{goal} is not in sight at {agreed / n:.1%}: label the {n - agreed} disagreements, with "
        f'pool = "shadow" under [data], by `stepdown label {task}`'
    )
