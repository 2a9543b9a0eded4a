"""Labels to a verdict: disagreements alone against all rows, and a batch against `bargain` 0.1.3.

Targets: with disagreement-only labelling, the median number of labels at most a quarter of
labelling everything; for a batch, no less kept than BARGAIN with 40% fewer labels at budgets of
1000 and more, and as much with as many at 300. Needs the data: STEPDOWN_DATA (default
../shared/data). BARGAIN is used when it can be imported (it is no dependency of this project).

    python benchmarks/bench_labels.py [--trials 10] [--budgets 300,1000] [--part loss|batch|floor]
                                      [--json]

A trial draws 300 rows that choose the confidence, the path and the start (the same for every way
of labelling, not counted), and up to 1000 rows to certify. Trial i of a pool is seeded by (i, 7).
"""

import argparse
import importlib.metadata
import importlib.util
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import label_batch as batch
import label_weighted as weighted
from label_pools import Floats, Pool, confidence, data_folder, pools
from stepdown.stats.labelling import Question, decided, next_rows
from stepdown.stats.labels import Labels, no_labels
from stepdown.stats.noninferiority import certify_path
from stepdown.stats.power import labels_needed_kept

SHARES = np.arange(0.05, 1.001, 0.05)  # of traffic kept, along the path
TUNE, CERTIFY, DELTA, AT_ONCE = 300, 1000, 0.1, 5
BATCH_ROWS = 10_000


Draw = Callable[[np.random.Generator, int], tuple[Floats, Floats]]


@dataclass(frozen=True, slots=True)
class Setting:
    """A path on certify rows: who agrees, who keeps, the true differences."""

    question: Question
    keeps: Any
    truth: Floats

    @property
    def blind(self) -> Question:
        """The question as it stands for one who compares no answers: kept is unknown."""
        escalated = np.vstack([np.ones(self.truth.size, dtype=bool), ~self.keeps])
        return replace(self.question, agree=escalated)

    def kept(self, policy: int) -> float:
        return float(self.keeps[policy - 1].mean()) if policy else 0.0


def setting(pool: Pool, max_loss: float, seed: int) -> Setting:
    order = np.random.default_rng([seed, 7]).permutation(pool.n)
    tune, rows = pool.rows(order[:TUNE]), pool.rows(order[TUNE : TUNE + CERTIFY])
    held = (tune.small >= tune.ceiling).astype(float)
    own = cross_fitted(tune, held)
    thresholds = np.unique(np.quantile(own, 1 - SHARES, method="lower"))[::-1]
    lost = (own >= thresholds[:, None]) * (tune.ceiling - tune.small)
    discordant = ((lost != 0).sum(axis=1) + 1) / (TUNE + 1)
    z = (max_loss - lost.mean(axis=1)) / np.sqrt(discordant / rows.n)
    start = 1 + int(np.flatnonzero(z >= z.max() - 1e-9)[-1])
    keeps = confidence(tune, held, rows) >= thresholds[:, None]
    agree = np.vstack([np.ones(rows.n, dtype=bool), ~keeps | rows.agree])
    return Setting(Question(agree, max_loss, DELTA, start), keeps, rows.small - rows.ceiling)


def cross_fitted(tune: Pool, held: Floats) -> Floats:
    part = np.arange(tune.n) % 2
    found = np.zeros(tune.n)
    for one in (0, 1):
        fit, rest = np.flatnonzero(part == one), np.flatnonzero(part != one)
        found[rest] = confidence(tune.rows(fit), held[fit], tune.rows(rest))
    return found


def labels_asked(question: Question, truth: Floats) -> tuple[int, int]:
    """Label what is asked for until it is decided: the verdict and the labels."""
    labels = replace(no_labels(question.n), difference=truth)
    while (rows := next_rows(question, labels, AT_ONCE).rows).size:
        known = labels.known.copy()
        known[rows] = True
        labels = Labels(known, truth)
    return int(decided(question, labels) or 0), labels.used


def labels_at_random(question: Question, truth: Floats, seed: int) -> int:
    """Label rows in a random order until it is decided: the labels."""
    order = np.random.default_rng([seed, 8]).permutation(question.n)
    for count in range(0, question.n, 100):
        known = np.zeros(question.n, dtype=bool)
        known[order[:count]] = True
        if decided(question, Labels(known, truth)) is not None:
            return count
    return question.n


def with_all_labels(one: Setting) -> int:
    q = one.question
    table = np.where(q.agree, 0.0, one.truth)
    return certify_path(table, q.epsilon, q.delta, q.start, scores="binary").chosen


def loss_trial(pool: Pool, max_loss: float, seed: int) -> dict[str, float]:
    one = setting(pool, max_loss, seed)
    verdict, used = labels_asked(one.question, one.truth)
    hasty, hasty_used = labels_asked(replace(one.question, best_case="no_loss"), one.truth)
    return {
        "rows": one.question.n,
        "disagreements": float((~one.question.agree[-1]).sum()),
        "all_in_random_order": labels_at_random(one.blind, one.truth, seed),
        "labels": used,
        "labels_hasty": hasty_used,
        "kept": one.kept(verdict),
        "kept_hasty": one.kept(hasty),
        "same_verdict": float(verdict == with_all_labels(one)),
    }


def labels_for_loss(trials: int) -> dict[str, Any]:
    """Measure labels to a verdict on each pool, and over all of them."""
    found: dict[str, Any] = {}
    for max_loss in (0.02, 0.05):
        rows = {
            pool.name: [loss_trial(pool, max_loss, seed) for seed in range(trials)]
            for pool in pools()
        }
        every = [trial for told in rows.values() for trial in told]
        found[f"max_loss {max_loss}"] = {
            "pools": {name: summary(told) for name, told in rows.items()},
            "all": summary(every),
            "median_share": float(np.median([t["labels"] / t["rows"] for t in every])),
            "pools_over_a_quarter": sum(
                np.median([t["labels"] / t["rows"] for t in told]) > 0.25 for told in rows.values()
            ),
        }
    return found


def summary(trials: Sequence[dict[str, float]]) -> dict[str, float]:
    counts = ("rows", "disagreements", "all_in_random_order", "labels", "labels_hasty")
    return {
        key: float(
            np.median([t[key] for t in trials])
            if key in counts
            else np.mean([t[key] for t in trials])
        )
        for key in trials[0]
    }


def synthetic(accuracy: Callable[[Floats], Floats], digits: int | None = None) -> Draw:
    def draw(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        sure = rng.uniform(0.5, 1.0, n)
        sure = sure if digits is None else np.round(sure, digits)
        return sure, (rng.random(n) < np.clip(accuracy(sure), 0, 1)).astype(float)

    return draw


def recorded(pool: Pool) -> Draw:
    """Rows of a pool, drawn with replacement; its confidence is fitted on other rows."""
    order = np.random.default_rng(0).permutation(pool.n)
    fit, rest = pool.rows(order[:TUNE]), pool.rows(order[TUNE:])
    sure = confidence(fit, fit.small, rest)

    def draw(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        rows = rng.integers(0, rest.n, n)
        return sure[rows] + 1e-9 * rng.random(n), rest.small[rows]

    return draw


def populations() -> dict[str, Draw]:
    """Synthetic ones, and each recorded small tier once."""
    found = {
        "synthetic: calibrated": synthetic(lambda c: c),
        "synthetic: over-confident": synthetic(lambda c: 0.5 + 0.8 * (c - 0.5)),
        "synthetic: spike, top 8% right in 86%": synthetic(
            lambda c: np.where(c > 0.96, 0.86, c + 0.16)
        ),
        "synthetic: strong": synthetic(lambda c: 1 - 0.4 * (1 - c)),
        "synthetic: rare keep": synthetic(lambda c: np.where(c > 0.95, 0.97, 0.6)),
        "synthetic: ties": synthetic(lambda c: c + 0.05, 1),
    }
    for pool in pools():
        found.setdefault(pool.name.split(" / ", maxsplit=1)[0], recorded(pool))
    return found


def ours(sure: Floats, right: Floats, target: float, budget: int, seed: int) -> tuple[float, int]:
    """Return the share of the batch kept by threshold, and the labels used."""
    question = batch.BatchQuestion(sure, target, DELTA, budget, seed)
    known = np.zeros(right.size, dtype=bool)
    while not (found := batch.standing(question, known, right)).finished:
        known[found.wanted.rows] = True
    return found.kept / right.size, int(known.sum())


def bargain() -> Callable[..., tuple[float, int]] | None:
    """Return BARGAIN_P as documented (precision target, budget), or None when not installed."""
    if importlib.util.find_spec("BARGAIN") is None:
        return None
    from BARGAIN import BARGAIN_P, Oracle, Proxy

    class Sure(Proxy):
        def __init__(self, sure: Floats) -> None:
            super().__init__(verbose=False)
            self.sure = sure

        def get_preds_and_scores(self, rows: Any, _: Any) -> tuple[Floats, Floats]:
            return np.ones(len(rows)), self.sure[np.asarray(rows)]

    class Right(Oracle):
        def __init__(self, right: Floats) -> None:
            super().__init__(verbose=False)
            self.right, self.asked = right, set[int]()

        def get_pred(self, _: Any, indxs: Any = None) -> Floats:
            self.asked.update(np.asarray(indxs).tolist())
            return self.right[np.asarray(indxs)]

    def run(
        sure: Floats, right: Floats, target: float, budget: int, seed: int
    ) -> tuple[float, int]:
        oracle = Right(right)
        rule = BARGAIN_P(Sure(sure), oracle, delta=DELTA, target=target, budget=budget, seed=seed)
        returned = np.asarray(rule.process([""] * right.size), dtype=int)
        inside = np.zeros(right.size, dtype=bool)
        inside[returned] = True
        inside[list(oracle.asked)] = False  # labelled rows come back whatever the threshold
        order = np.argsort(sure)[::-1]
        places = np.flatnonzero(inside[order])
        return (int(places[-1] + 1) / right.size if places.size else 0.0), len(oracle.asked)

    return run


def batch_trial(
    draw: Draw, target: float, budget: int, seed: int, peer: Callable[..., tuple[float, int]] | None
) -> dict[str, float]:
    sure, right = draw(np.random.default_rng([seed, budget]), BATCH_ROWS)
    fewer, fewer_labels = ours(sure, right, target, round(0.6 * budget), seed)
    same, same_labels = ours(sure, right, target, budget, seed)
    order = np.argsort(-sure)
    good = np.flatnonzero(np.cumsum(right[order]) >= target * np.arange(1, right.size + 1))
    row = {
        "possible": float((good[-1] + 1) / right.size) if good.size else 0.0,
        "kept_60": fewer,
        "labels_60": fewer_labels,
        "broken_60": float(is_broken(sure, right, fewer, target)),
        "kept_100": same,
        "labels_100": same_labels,
        "broken_100": float(is_broken(sure, right, same, target)),
    }
    if peer is not None:
        kept, labels = peer(sure, right, target, budget, seed)
        broken = float(is_broken(sure, right, kept, target))
        row |= {"bargain": kept, "bargain_labels": labels, "bargain_broken": broken}
    return row


def is_broken(sure: Floats, right: Floats, kept: float, target: float) -> bool:
    rows = np.argsort(-sure, kind="stable")[: round(kept * right.size)]
    return bool(rows.size and right[rows].mean() < target)


def labels_for_a_batch(trials: int, budgets: Sequence[int]) -> dict[str, Any]:
    """Measure the share kept by threshold at 60% and 100% of each budget, and BARGAIN's."""
    peer, found = bargain(), {}
    known = populations()
    for target in (0.9, 0.95):
        for budget in budgets:
            rows = {
                name: summary([batch_trial(d, target, budget, s, peer) for s in range(trials)])
                for name, d in known.items()
            }
            mean = {
                k: float(np.mean([r[k] for r in rows.values()])) for k in next(iter(rows.values()))
            }
            found[f"target {target}, budget {budget}"] = {"populations": rows, "mean": mean}
    version = importlib.metadata.version("bargain") if peer else None
    return {"bargain": version or "not installed", "cells": found}


def floor_trial(
    agree_right: float, other_right: float, share: float, seed: int
) -> dict[str, float]:
    """Labels until a floor of .9 is certified: drawn alike, or more often where answers differ."""
    rng = np.random.default_rng([seed, 11])
    agree = rng.random(2000) >= share
    score = (rng.random(2000) < np.where(agree, agree_right, other_right)).astype(float)
    guess = np.where(agree, agree_right, other_right)
    found = {}
    for name, chance in (("weighted", weighted.inclusion(guess, 0.3)), ("alike", np.ones(2000))):
        question = weighted.WeightedQuestion(
            np.ones((1, 2000), dtype=bool), guess[None], chance, 0.9, DELTA, 0, seed=seed
        )
        found[name] = floor_labels(question, score)
    return found


def floor_labels(question: weighted.WeightedQuestion, score: Floats) -> float:
    order = weighted.drawn(question)
    for count in range(25, order.size, 25):
        known = np.zeros(score.size, dtype=bool)
        known[order[:count]] = True
        if weighted.standing(question, weighted.Scored(known, score)).certified is not None:
            return float(count)
    return float("inf")


def labels_for_a_floor(trials: int) -> dict[str, Any]:
    found = {}
    for rates in ((0.99, 0.6, 0.15), (0.98, 0.5, 0.1), (0.97, 0.8, 0.2)):
        rows = [floor_trial(*rates, seed) for seed in range(trials)]
        accuracy = rates[0] * (1 - rates[2]) + rates[1] * rates[2]
        fixed = labels_needed_kept(accuracy, 0.9, DELTA).rows
        found[f"agree {rates[0]}, differ {rates[1]} on {rates[2]}; true {accuracy:.3f}"] = {
            "weighted": float(np.median([r["weighted"] for r in rows])),
            "alike": float(np.median([r["alike"] for r in rows])),
            "exact binomial, fixed size, 80% power": fixed,
        }
    return found


def show(title: str, found: dict[str, Any], indent: int = 0) -> None:
    print(f"{' ' * indent}{title}")
    for key, value in found.items():
        if not isinstance(value, dict):
            print(f"{' ' * indent}  {key}: {value}")
        elif any(isinstance(v, dict) for v in value.values()):
            show(key, value, indent + 2)
        else:
            cells = "  ".join(
                f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in value.items()
            )
            print(f"{' ' * indent}  {key:<60} {cells}")


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--trials", type=int, default=10)
    asked.add_argument("--budgets", default="300,1000")
    asked.add_argument("--part", choices=("loss", "batch", "floor"))
    asked.add_argument("--json", action="store_true")
    given = asked.parse_args()
    if not data_folder().is_dir():
        sys.exit(f"no data: {data_folder()} (set STEPDOWN_DATA)")
    budgets = [int(one) for one in given.budgets.split(",")]
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "loss": lambda: labels_for_loss(given.trials),
        "batch": lambda: labels_for_a_batch(given.trials, budgets),
        "floor": lambda: labels_for_a_floor(given.trials),
    }
    chosen = [given.part] if given.part else list(parts)
    found = {name: parts[name]() for name in chosen}
    if given.json:
        print(json.dumps({"trials": given.trials, **found}))
        return
    for name, told in found.items():
        show(f"{name} (trials: {given.trials})", told)


if __name__ == "__main__":
    main()
