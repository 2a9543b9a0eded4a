"""Populations of label answers, as panels: what each tier says, what is right, what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct
from populations import terms

from stepdown.certify.certify import certify_task
from stepdown.certify.evidence import Certified, Evidence
from stepdown.core.replay_array import Panel
from stepdown.core.task import Promise, Task

LABELS = ("x", "y", "z")
TASK = Task(name="intent", kind="classify", tiers=("small", "big"), labels=LABELS)
PRICES = {"small": 0.001, "big": 1.0}


class Labelled(Struct, frozen=True):
    """`right`: tier -> label -> chance of being right; a wrong answer is the next label.

    `signals`: each tier also has a signal that tells nothing, so that there are many policies.
    `size`: rows of a group, which are all alike. `share` of the label `x`.
    """

    right: Mapping[str, Mapping[str, float]]
    signals: bool = False
    size: int = 1
    share: float = 0.4

    def draw(self, n: int, seed: Sequence[int], part: str) -> Panel:
        rng = np.random.default_rng(seed)
        rest = (1 - self.share) / 2
        truth = np.repeat(rng.choice(3, n // self.size, p=[self.share, rest, rest]), self.size)
        answers, score = {}, {}
        for tier, chances in self.right.items():
            chance = np.array([chances.get(label, chances.get("", 0.0)) for label in LABELS])
            good = np.repeat(rng.random(n // self.size), self.size) < chance[truth]
            answers[tier] = np.where(good, truth, (truth + 1) % 3).astype(np.int32)
            score[tier] = good.astype(float)
        signals = {f"{t}.label_prob": rng.random(n) for t in self.right} if self.signals else {}
        group = [f"{part}g{i // self.size}" if self.size > 1 else None for i in range(n)]
        names = np.array(LABELS, dtype=object)
        return Panel(
            query_ids=tuple(f"{part}{i}" for i in range(n)),
            groups=group,
            score=score,
            cost_usd={t: np.full(n, PRICES[t]) for t in self.right},
            latency_s={t: np.full(n, 1.0) for t in self.right},
            available={t: np.ones(n, dtype=bool) for t in self.right},
            failure={t: np.zeros(n, dtype=np.int32) for t in self.right},
            signals=signals,
            answers=answers,
            truths=tuple(names[truth]),
            texts={t: tuple(names[codes]) for t, codes in answers.items()},
        )


def even(small: float, big: float, **keys: Any) -> Labelled:
    """Both tiers right with one chance, whatever the label."""
    return Labelled({"small": {"": small}, "big": {"": big}}, **keys)


def promised(
    world: Labelled,
    promise: Promise,
    n: int = 100,
    seed: int = 0,
    *,
    task: Task = TASK,
    n_tune: int = 40,
    reference: str = "gold",
    **keys: Any,
) -> Certified:
    """Certify a promise on rows drawn from a population."""
    tune, rows = world.draw(n_tune, [seed, 1], "t"), world.draw(n, [seed, 2], "c")
    return on(tune, rows, promise, task=task, reference=reference, clustered=world.size > 1, **keys)


def on(
    tune: Panel,
    rows: Panel,
    promise: Promise,
    *,
    task: Task = TASK,
    reference: str = "gold",
    clustered: bool = False,
    **keys: Any,
) -> Certified:
    """Certify a promise on the rows of two panels."""
    task = msgspec.structs.replace(task, promise=promise)
    evidence = Evidence(
        tune=tune,
        certify=rows,
        n_train=0,
        split="by row",
        data={},
        reference=reference,
        clustered=clustered,
    )
    return certify_task(task, evidence, terms(**keys))
