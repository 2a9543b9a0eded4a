"""The loss over all covered traffic, from the audits of a random part of it.

Where the budget of a day ran out, what came later that day is left out of figure and interval; the
share that is covered is said. An audit that was drawn and failed widens the interval: 0 at its
lower end, a whole loss at its upper one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stepdown.review.promised import Limit
from stepdown.review.seen import Audit, Day
from stepdown.review.status import Measured
from stepdown.review.votes import DAY
from stepdown.stats.audited_loss import METHOD, audited_loss

BUDGET = "budget"
LEVEL = 0.95


def closings(audits: Sequence[Audit]) -> dict[str, str]:
    """Return for each day whose budget ran out the time at which it did."""
    found: dict[str, str] = {}
    for one in audits:
        if one.why_not == BUDGET:
            day = one.at[:DAY]
            found[day] = min(found.get(day, one.at), one.at)
    return found


def measured(audits: Sequence[Audit], days: Sequence[Day], limit: Limit) -> Measured:
    """Return the estimate with its interval."""
    closed = closings(audits)
    inside = [one for one in audits if _is_open(one, closed) and _counts(one, limit)]
    known = [one for one in inside if one.loss is not None]
    gone = [one for one in inside if one.loss is None]
    requests = sum(day.open_kept if limit.kept_only else day.open for day in days)
    found = audited_loss(
        [one.loss for one in known if one.loss is not None],
        [one.propensity for one in known],
        max(requests, len(inside)),
        missing=[one.propensity for one in gone],
        level=LEVEL,
    )
    return Measured(
        value=found.value,
        low=found.low if known else None,
        high=found.high if known else None,
        level=LEVEL,
        n=len(known),
        of="kept answers" if limit.kept_only else "all covered traffic",
        method=METHOD,
        covers=_covered(days),
        allowed=limit.loss,
        allowed_words=limit.words or limit.why_not,
    )


def _is_open(one: Audit, closed: Mapping[str, str]) -> bool:
    return one.at < closed.get(one.at[:DAY], "9999")


def _counts(one: Audit, limit: Limit) -> bool:
    return not (limit.kept_only and one.by_ceiling)


def _covered(days: Sequence[Day]) -> float | None:
    total = sum(day.requests for day in days)
    return sum(day.open for day in days) / total if total else None
