"""A higher threshold that recent audits certify: chosen on the older of them, tested on the newer.

Only for the plainest policy, one tier that keeps what it is sure of: there a higher threshold keeps
a part of what was kept, and the audits of that part are there already.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import Struct

from stepdown.core.lock import LockedTask
from stepdown.core.policy import Policy, confidence_of
from stepdown.review.promised import Limit
from stepdown.review.seen import Audit
from stepdown.review.votes import DAY
from stepdown.stats.arrays import is_binary
from stepdown.stats.bounds import accuracy_p_value, mean_lower_bound

SHARES = (0.25, 0.5, 0.75, 0.9)  # of the older kept answers that a candidate sends on
MARGIN = 0.5  # a candidate loses at most so much of the limit on the older rows
FEWEST = 40  # rows in each half
DELTA = 0.1  # of a lock that says none: `Promise.delta` starts there


class Raised(Struct, frozen=True):
    """A threshold that passed, with its evidence in words; without one the words say why."""

    threshold: float | None
    words: str


def raised_threshold(
    locked: LockedTask, audits: Sequence[Audit], limit: Limit, since: str | None
) -> Raised:
    """Return the lowest threshold that looks safe on older audits and passes on newer ones."""
    tier, at = plain_threshold(locked.policy)
    if tier is None or limit.loss is None:
        return Raised(None, "only a policy with one threshold on a confidence can be raised")
    known = [one for one in audits if one.loss is not None and one.at[:DAY] >= (since or "")]
    known = [one for one in known if not (limit.kept_only and one.by_ceiling)]
    older, newer = known[: len(known) // 2], known[len(known) // 2 :]
    if len(older) < FEWEST:
        many = f"{len(known)} audits since {since or 'the start'}"
        return Raised(None, f"{many} are too few to certify a higher threshold")
    threshold = _chosen(older, tier, at, limit)
    if threshold is None:
        return Raised(None, "no higher threshold looks safe on the older audits")
    delta = locked.guarantee.delta or DELTA
    p, n = _p_value(newer, tier, threshold, limit, delta)
    passed = f"{threshold:.4g}: on {n} newer audits p = {p:.3g}, delta {delta:g}"
    return Raised(threshold if p <= delta else None, passed)


def plain_threshold(policy: Policy) -> tuple[str | None, float]:
    """Return the tier and threshold of a policy that has one of each, else None."""
    entry = policy.by_state[()]
    if entry.when or entry.otherwise.kind != "call":
        return None, 0.0
    tier = entry.otherwise.target
    row = policy.by_state.get((tier,))
    if row is None or len(row.when) != 1 or row.when[0].signal != confidence_of(tier):
        return None, 0.0
    ends = row.when[0].then.kind == "accept" and str(row.otherwise) == f"call {policy.ceiling}"
    return (tier, row.when[0].at_least) if ends else (None, 0.0)


def _chosen(older: Sequence[Audit], tier: str, at: float, limit: Limit) -> float | None:
    sure = [one.confidence for one in older if one.tier == tier and one.confidence is not None]
    if not sure:
        return None
    for candidate in np.quantile(sure, SHARES):
        losses = _losses(older, tier, float(candidate), limit)
        small = losses.size > 0 and float(losses.mean()) <= MARGIN * (limit.loss or 0.0)
        if candidate > at and small:
            return float(candidate)
    return None


def _losses(audits: Sequence[Audit], tier: str, threshold: float, limit: Limit) -> np.ndarray:
    """What would be lost at a threshold: what it sends on is answered by the ceiling."""
    found = []
    for one in audits:
        is_kept = one.tier == tier and one.confidence is not None and one.confidence >= threshold
        if is_kept or not limit.kept_only:
            lost = (one.loss or 0.0) if is_kept else 0.0
            found.append(float(lost > 0) if limit.any_difference else lost)
    return np.asarray(found, dtype=np.float64)


def _p_value(
    newer: Sequence[Audit], tier: str, threshold: float, limit: Limit, delta: float
) -> tuple[float, int]:
    """Test that the mean loss exceeds the limit: exact for 0 and 1, by betting otherwise."""
    losses, target = _losses(newer, tier, threshold, limit), 1 - (limit.loss or 0.0)
    if not losses.size:
        return 1.0, 0
    if is_binary(losses):
        right = int((losses == 0).sum())
        return float(accuracy_p_value(right, losses.size, target)), losses.size
    passes = mean_lower_bound(1 - losses, delta) > target
    return (delta if passes else 1.0), losses.size
