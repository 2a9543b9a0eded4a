"""Whether a trained tier pays: better than another beyond chance, or as good and cheaper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from stepdown.wiring.proving import Beside, Proof, beside_of
from stepdown.wiring.training import Finished

Verdict = Literal["first", "better", "cheaper", "no gain", "worse", "unknown"]
PAYS: tuple[Verdict, ...] = ("first", "better", "cheaper")
WORDS = {
    "first": "nothing was promoted for it before",
    "better": "better than what is promoted, beyond chance",
    "cheaper": "as good as what is promoted as far as these rows can tell, and cheaper",
    "no gain": "no better than what is promoted as far as these rows can tell, and not cheaper",
    "worse": "worse than what is promoted, beyond chance",
    "unknown": "it cannot be compared with what is promoted",
}


def verdict_of(proof: Proof) -> Verdict:
    """Say what a new artifact is worth beside today's artifact of its tier."""
    old = proof.against("promoted")
    return "first" if old is None else judged(old, proof)


def judged(old: Beside, new: Proof) -> Verdict:
    """Say what something new is worth beside something old of the same tier."""
    gap = old.difference
    if gap.low is None or gap.high is None:
        return "unknown"
    if gap.low > 0:
        return "better"
    if gap.high < 0:
        return "worse"
    return "cheaper" if _cheaper(old, new) else "no gain"


def _cheaper(old: Beside, new: Proof) -> bool:
    before, after = old.cost_usd.value, new.cost_usd.value
    return not new.by_the_hour and before is not None and after is not None and after < before


def best_of(found: Sequence[Finished], seed: int) -> Finished:
    """Return the training that pays most; `found` is in the order of cost and not empty.

    The cheapest stands until another is better beyond chance, or as good at a lower price.
    """
    best = found[0]
    for one in found[1:]:
        beside = beside_of("best", "tier", best.outcomes, one.outcomes, seed)
        if judged(beside, one.trained.proof) in PAYS:
            best = one
    return best
