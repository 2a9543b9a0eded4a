"""Tell by canaries whether a tier changed under its name.

By the exact rule any other answer is a change: for tiers that answer by a pure function. By the
statistical rule old and new answers to each prompt are compared by a permutation test, since hosted
models differ from call to call even at temperature 0. It asks nobody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from stepdown.core.canary import Canary
from stepdown.core.digest import digest, seed_from

if TYPE_CHECKING:
    from stepdown.stats.two_samples import SameSource

ALPHA = 0.01  # chance that a hosted tier that did not change is called changed, each check
Rule = Literal["exact", "statistical"]


class CanaryVerdict(Struct, frozen=True, kw_only=True):
    """What the canaries of a tier say. `differ` are prompts none of whose new answers was given
    before; `p_value` belongs to the statistical rule; `served` are names of models not seen before.
    """

    tier: str
    changed: bool
    rule: Rule
    prompts: int
    differ: tuple[str, ...]
    p_value: float | None = None
    distance: float | None = None
    served: tuple[str, ...] = ()


def judge(
    tier: str, pinned: Sequence[Canary], asked: Mapping[str, Canary], rule: Rule
) -> CanaryVerdict:
    """Return the verdict on a tier; `asked` holds the new answers by sample and task.

    A provider that names another model than before has changed it, whatever it answers.
    """
    pairs = [(one, asked[key_of(one)]) for one in pinned if key_of(one) in asked]
    differ = tuple(old.sample for old, new in pairs if not set(new.answers) & set(old.answers))
    before = {name for old, _ in pairs for name in old.served}
    names = {name for _, new in pairs for name in new.served}
    served = tuple(sorted(names - before)) if before else ()
    if rule == "exact":
        wrong = any(set(new.answers) != set(old.answers) for old, new in pairs)
        return CanaryVerdict(
            tier=tier, changed=wrong or bool(served), rule=rule, prompts=len(pairs),
            differ=differ, served=served,
        )  # fmt: skip
    found = _test(pairs)
    return CanaryVerdict(
        tier=tier,
        changed=found.p_value <= ALPHA or bool(served),
        rule=rule,
        prompts=len(pairs),
        differ=differ,
        p_value=found.p_value,
        distance=found.distance,
        served=served,
    )


def key_of(one: Canary) -> str:
    """Return what joins a canary with its new answers."""
    return digest((one.task, one.sample, one.request))


def _test(pairs: Sequence[tuple[Canary, Canary]]) -> SameSource:
    import numpy as np

    from stepdown.stats.two_samples import same_source

    seed = seed_from(digest([[old.answers, new.answers] for old, new in pairs]))
    likeness = []
    for old, new in pairs:
        said = (*old.answers, *new.answers)
        likeness.append(np.array([[alike(a, b) for b in said] for a in said]))
    return same_source(likeness, [len(old.answers) for old, _ in pairs], seed)


def alike(a: str, b: str) -> float:
    """Return how alike two answers are, 0..1: the share of words that they have in common."""
    if a == b:
        return 1.0
    first, second = set(a.split()), set(b.split())
    return len(first & second) / len(first | second) if first | second else 1.0
