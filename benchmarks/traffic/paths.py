"""Recorded pairs of models: what a path of policies, small model first, loses against the large.

A policy keeps the small model's answer where a router, fitted on rows left out, is surest; the
path runs from the large model alone to the small model alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from stepdown.stats import paired_exact
from stepdown.stats.sequence import shares
from traffic.population import Floats, Ints
from traffic.recorded import LARGE, SMALL, differences, router

ROWS, EPSILON, DELTA = 1000, 0.02, 0.1
STEPS = 40  # policies of a path beside the ceiling
MMLU_PRO = (
    ("Meta-Llama-3_1-70B-Instruct", "gemini-1.5-pro-002"),
    ("gemini-1.5-flash-002", "gemini-1.5-pro-002"),
    ("Meta-Llama-3_1-70B-Instruct", "gemini-1.5-flash-002"),
    ("Phi-3-mini-4k-instruct", "Meta-Llama-3_1-8B-Instruct"),
)


@dataclass(frozen=True)
class Pair:
    """Differences small - large (-1, 0, 1), surest first, and how sure the router was."""

    name: str
    confidence: Floats
    difference: Floats

    def counts(self, n: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
        """Return, per policy, the losses and gains of n rows drawn with replacement."""
        rows = np.sort(rng.integers(0, self.difference.size, n))
        kept = np.searchsorted(rows, self.places(), side="left")
        minus = np.concatenate([[0], np.cumsum(self.difference[rows] < 0)])[kept]
        plus = np.concatenate([[0], np.cumsum(self.difference[rows] > 0)])[kept]
        return minus.astype(np.int64), plus.astype(np.int64)

    def places(self) -> Ints:
        """Return how many of all rows each policy keeps, the ceiling first with none."""
        return np.round(np.linspace(0, 1, STEPS + 1) * self.difference.size).astype(np.int64)

    def loss(self, policy: int) -> float:
        """Return the true loss of a policy against the large model."""
        return -float(self.difference[: self.places()[policy]].sum()) / self.difference.size


@cache
def pairs() -> tuple[Pair, ...]:
    """Return RouteLLM's pair on MMLU and four pairs on MMLU-Pro."""
    wanted = [("routellm_mmlu", SMALL, LARGE), *(("mmlu_pro", *pair) for pair in MMLU_PRO)]
    return tuple(_pair(source, small, large) for source, small, large in wanted)


def _pair(source: str, small: str, large: str) -> Pair:
    difference = differences(source, small, large)
    confidence, rest, _ = router(source, difference >= 0, difference)
    order = np.argsort(-confidence, kind="stable")
    name = f"{small.rpartition('/')[2]} -> {large}"
    return Pair(name, confidence[order], difference[rest][order])


def compare(pair: Pair, trials: int) -> dict[str, float | str]:
    """Return the share kept, and promises broken, by the shipped test and by the CLT.

    Both test the same path from the same start, chosen on as many other rows: the policy whose
    observed loss lies furthest under epsilon in standard errors. The exact test spends 85% of
    delta there and 15% half-way to the ceiling, as `certify_path` does by default; the CLT spends
    all of it at the start.
    """
    exact = [_chosen(pair, trial, exact_choice) for trial in range(trials)]
    clt = [_chosen(pair, trial, _clt) for trial in range(trials)]
    return {
        "name": pair.name,
        "exact": float(np.mean(exact)) / STEPS,
        "exact broken": sum(pair.loss(policy) > EPSILON for policy in exact),
        "clt": float(np.mean(clt)) / STEPS,
        "clt broken": sum(pair.loss(policy) > EPSILON for policy in clt),
    }


def _chosen(pair: Pair, trial: int, test: Callable[[Ints, Ints, int], int]) -> int:
    start = _start(*pair.counts(ROWS, np.random.default_rng([trial, 1])))
    return test(*pair.counts(ROWS, np.random.default_rng([trial, 0])), start)


def _start(minus: Ints, plus: Ints) -> int:
    return 1 + int(np.argmax(_z(minus, plus)[1:]))


def _z(minus: Ints, plus: Ints) -> Floats:
    """Return (observed difference + epsilon) in standard errors, one discordant row added."""
    mean = (plus - minus) / ROWS
    spread = np.sqrt(((plus + minus + 1) / ROWS - mean**2) / ROWS)
    return np.asarray((mean + EPSILON) / spread)


def _clt(minus: Ints, plus: Ints, start: int) -> int:
    mean = (plus - minus) / ROWS
    spread = np.sqrt(np.maximum((plus + minus) / ROWS - mean**2, 0.0) / ROWS)
    failed = mean - _normal_quantile() * spread <= -EPSILON
    run = np.flatnonzero(failed[start:])
    return (
        start + (int(run[0]) if run.size else failed.size - start) - 1 if not failed[start] else 0
    )


def exact_choice(minus: Ints, plus: Ints, start: int) -> int:
    """Do what `certify_path_counts` does, by critical ranks instead of p-values: much faster."""
    ranks = paired_exact.rank(minus.astype(float), plus.astype(float), ROWS, EPSILON)
    starts = shares(start, start // 2 or None, DELTA)
    best, owned = 0, 0.0
    for policy in range(1, ranks.size):
        owned += starts.get(policy, 0.0)
        passed = owned > 0.0 and ranks[policy] >= _critical(round(owned, 6)) - 1e-9
        best, owned = (policy, owned) if passed else (best, 0.0)
    return best


@cache
def _critical(delta: float) -> float:
    return paired_exact.critical_rank(ROWS, EPSILON, delta)


@cache
def _normal_quantile() -> float:
    from scipy import special

    return float(special.ndtri(1.0 - DELTA))
