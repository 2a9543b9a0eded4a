"""What an alarm takes as no change: the promise itself, or what the certify rows showed.

An audit compares with the ceiling's own answer. Where the promise is about that, its level is the
limit. Where it is about right answers, two models differ on more rows than the promise allows to be
lost; then the limit is how often they differed on the certify rows, at the upper end of its
interval.
"""

from __future__ import annotations

from msgspec import Struct

from stepdown.core.lock import Guarantee, Watched
from stepdown.stats.bounds import accuracy_lower_bound

LEAST = 1e-4  # a limit of 0 would let one audit ring


class Limit(Struct, frozen=True, kw_only=True):
    """What is allowed: a mean `loss`, over all covered traffic or (`kept_only`) over kept answers.

    `alpha` is what is left for the alarm: where the limit was estimated, half was spent on it.
    `any_difference`: a vote is whether the answers differ at all, as on the certify rows.
    """

    loss: float | None
    alpha: float
    words: str
    kept_only: bool = False
    any_difference: bool = False
    why_not: str = ""


def limit_of(stated: Guarantee, watched: Watched | None, alpha: float) -> Limit:
    """Return the limit of a guarantee for alarms on loss."""
    if stated.level is None or stated.promise in ("", "none") or stated.state != "certified":
        return Limit(loss=None, alpha=alpha, words="", why_not="nothing is certified")
    if stated.promise == "min_agreement":
        return Limit(
            loss=1 - stated.level,
            alpha=alpha,
            words=f"{1 - stated.level:.1%} of kept answers may differ (min_agreement)",
            kept_only=True,
        )
    if stated.promise == "max_disagreement" or _by_ceiling(stated):
        words = f"{stated.level:.1%} of all answers ({stated.promise})"
        return Limit(loss=stated.level, alpha=alpha, words=words)
    return _measured(stated, watched, alpha)


def _by_ceiling(stated: Guarantee) -> bool:
    return stated.reference == "ceiling" and stated.promise == "max_loss"


def _measured(stated: Guarantee, watched: Watched | None, alpha: float) -> Limit:
    """How often the policy's answer was another one than the ceiling's, on the certify rows."""
    n = 0 if watched is None else watched.by_ceiling + watched.compared
    if watched is None or not watched.compared:
        return Limit(
            loss=None,
            alpha=alpha,
            words="",
            why_not="the lock does not say how often answers differed on the certify rows; "
            "certify again",
        )
    upper = upper_share(watched.differed, n, alpha / 2)
    own = (stated.level or 0.0) if stated.promise == "max_loss" else 0.0
    return Limit(
        loss=max(upper, own, LEAST),
        alpha=alpha / 2,
        words=f"answers may differ on {max(upper, own):.1%}: on {n:,} certify rows "
        f"{watched.differed / n:.1%} did",
        any_difference=True,
    )


def upper_share(hits: int, n: int, alpha: float) -> float:
    """Return the upper end of a share at chance `alpha`. Source: Clopper and Pearson (1934)."""
    return 1.0 - accuracy_lower_bound(n - hits, n, alpha)
