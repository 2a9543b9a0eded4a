"""Synthetic populations whose every policy has a known true loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from stepdown.certify.calibration import with_confidence
from stepdown.certify.certify import certify_task
from stepdown.certify.evidence import Certified, Evidence, Terms
from stepdown.certify.supply import Sources, supplied
from stepdown.core.confidence import Calibrator
from stepdown.core.derived import Derived
from stepdown.core.outcome import Outcome
from stepdown.core.policy import Policy
from stepdown.core.replay_array import Panel, replay_array
from stepdown.core.task import Promise, Task

Floats = NDArray[np.float64]
TASK = Task(name="intent", kind="classify", tiers=("small", "big"), labels=("x", "y"))
PRICES: dict[str, float | None] = {"small": 0.001, "middle": 0.01, "big": 1.0}


class World(Struct, frozen=True):
    """`right`: tier -> chance of a right answer, given the signal s in (0, 1), uniform."""

    right: Mapping[str, Callable[[Floats], Floats]]
    price: Mapping[str, float | None] = msgspec.field(default_factory=PRICES.copy)

    def draw(self, n: int, seed: Sequence[int], part: str = "q") -> list[Outcome]:
        """Return n independent rows; every tier has a signal of its own."""
        rng = np.random.default_rng(seed)
        found: list[Outcome] = []
        for tier, right in self.right.items():
            signal = rng.uniform(0, 1, n)
            score = rng.random(n) < right(signal)
            found += [self.outcome(f"{part}{i}", tier, score[i], signal[i]) for i in range(n)]
        return found

    def outcome(self, query: str, tier: str, score: Any, signal: Any) -> Outcome:
        return Outcome(
            query_id=query,
            tier=tier,
            score=float(score),
            cost_usd=self.price.get(tier),
            latency_s=2.0,
            signals={"label_prob": float(signal)},
        )

    def true_loss(
        self,
        policy: Policy,
        maps: Mapping[str, Calibrator],
        points: int = 20_000,
        derived: Mapping[str, Derived] = {},
    ) -> float:
        """Return the loss of a policy on endless rows: expected scores on a fine lattice."""
        steps = np.arange(points)
        tiers = list(self.right)
        # One low-discrepancy sequence a tier (Weyl 1916), so that two signals are independent.
        signal = {t: (0.5 + steps * np.sqrt(p)) % 1 for t, p in zip(tiers, (2, 3, 5), strict=False)}
        score = {t: self.right[t](signal[t]) for t in tiers}
        table = Panel(
            query_ids=tuple(map(str, steps)),
            groups=(None,) * points,
            score=score,
            cost_usd={t: np.zeros(points) for t in tiers},
            latency_s={t: np.zeros(points) for t in tiers},
            available={t: np.ones(points, dtype=bool) for t in tiers},
            failure={t: np.zeros(points, dtype=np.int32) for t in tiers},
            signals={f"{t}.label_prob": signal[t] for t in tiers},
        )
        table = supplied(with_confidence(table, maps), policy.signals, Sources(0))
        done = replay_array(policy, table, derived)
        return float((score["big"] - done.score).mean())


def flat(chance: float) -> Callable[[Floats], Floats]:
    """Right with one chance, whatever the signal."""
    return lambda signal: np.full_like(signal, chance)


def rising(low: float, high: float) -> Callable[[Floats], Floats]:
    """Right more often the higher the signal."""
    return lambda signal: low + (high - low) * signal


def terms(**keys: Any) -> Terms:
    return Terms(
        **{
            "settings": "s",
            "tiers": {},
            "today": date(2026, 11, 22),
            "review_days": 90,
            "baseline": "big",
            **keys,
        }
    )


def certified(
    tune: Sequence[Outcome],
    certify: Sequence[Outcome],
    task: Task = TASK,
    *,
    max_loss: float = 0.05,
    delta: float = 0.1,
    **keys: Any,
) -> Certified:
    task = msgspec.structs.replace(task, promise=Promise(max_loss=max_loss, delta=delta))
    evidence = Evidence(tune=tune, certify=certify, n_train=0, split="by row", data={})
    return certify_task(task, evidence, terms(**keys))
