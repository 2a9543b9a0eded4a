"""Route or cascade, against the static hull, the task prior, neighbours and the oracle.

Every figure is measured by replaying policies on the half of the queries (split by prompt) that
nothing was fitted on. Needs the data: STEPDOWN_DATA (default ../shared/data). Takes some minutes;
`--full` runs more seeds, `--json` prints the figures, `--pool NAME` only one pool.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct, structs
from numpy.typing import NDArray
from scipy.stats import binomtest

from stepdown.adapters.encoders.static import load_static
from stepdown.adapters.tables.paired_files import read_pair
from stepdown.certify.routing import Candidate, Fit, fit_routing, routed_candidates, units
from stepdown.certify.triage import crossfit
from stepdown.certify.verifier import with_shapes
from stepdown.core.answer_shape import ARITHMETIC
from stepdown.core.replay_array import Panel, panel, replay_array
from stepdown.stats.frontier import Frontier, area_share, hull, oracle
from stepdown.stats.noninferiority import certify_path

Floats = NDArray[np.float64]
MIXTRAL, GPT4 = "mistralai/Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview"
SMALL, MINI, BIG = "Meta-Llama-3.1-8B-Instruct", "gpt-4o-mini-2024-07-18", "gpt-4o-2024-08-06"
NINE = (
    "llama3-chatqa-1.5-8b", "llama3-chatqa-1.5-70b", "codegemma-7b", "mistral-7b-instruct-v0.3",
    "qwen2.5-7b-instruct", "gemma-2-9b-it", "llama-3.1-8b-instruct",
    "llama-3.3-nemotron-super-49b-v1", "llama-3.1-nemotron-51b-instruct",
)  # fmt: skip


class Pool(Struct, frozen=True):
    """Outcomes and the tiers, weakest first; `shapes`: answers are read, `sums`: theirs too."""

    name: str
    file: str
    order: tuple[str, ...]
    labels: tuple[int, ...]
    shapes: bool = False
    sums: bool = True


POOLS = (
    Pool("routellm_mmlu, before", "routellm_mmlu", (MIXTRAL, GPT4), (100, 300, 6900)),
    Pool("routellm_gsm8k, after", "routellm_gsm8k", (MIXTRAL, GPT4), (100, 300, 650), True),
    Pool(
        "routellm_gsm8k, after, no sums", "routellm_gsm8k", (MIXTRAL, GPT4), (300,), True, False
    ),
    Pool("nine models", "llmrouter_dcrouter", NINE, (300, 3000)),
    Pool("zeroeval, 3 tiers", "zeroeval_gsm", (SMALL, MINI, BIG), (300, 650), True),
    Pool(
        "zeroeval, 4 tiers", "zeroeval_gsm", ("gemma-2-9b-it", SMALL, MINI, BIG), (300, 650), True
    ),
    Pool(
        "mmlu_pro, 8B to 70B",
        "mmlu_pro",
        ("Meta-Llama-3_1-8B-Instruct", "Meta-Llama-3_1-70B-Instruct"),
        (300, 6000),
    ),
    Pool(
        "mmlu_pro, 4 tiers",
        "mmlu_pro",
        (
            "Meta-Llama-3_1-8B-Instruct", "Meta-Llama-3_1-70B-Instruct", "gemini-1.5-flash-002",
            "gemini-1.5-pro-002",
        ),
        (300, 6000),
    ),
)  # fmt: skip


class Data(Struct, frozen=True):
    """A pool in memory, with a vector for each prompt."""

    pool: Pool
    panel: Panel
    vectors: Floats

    def split(self, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return rows to learn from, in random order, and rows to test on; prompts stay whole."""
        named = [group or f"row {place}" for place, group in enumerate(self.panel.groups)]
        _, codes = np.unique(named, return_inverse=True)
        chance = np.random.default_rng(seed)
        learns = chance.permutation(int(codes.max()) + 1) < (int(codes.max()) + 1) // 2
        inside = learns[codes]
        return chance.permutation(np.flatnonzero(inside)), np.flatnonzero(~inside)


def load(folder: Path, pool: Pool) -> Data:
    """Read a pool: only rows on which every tier has a score."""
    table = panel(read_pair(folder, pool.file, models=frozenset(pool.order)))
    table = table.take(np.flatnonzero(np.all([table.available[t] for t in pool.order], axis=0)))
    vectors = load_static().embed([prompt or "" for prompt in table.prompts])
    for tier in pool.order if pool.shapes else ():
        table = with_shapes(table, tier)
    if not pool.sums:
        left = {
            n: v for n, v in table.signals.items() if n.rpartition("shape_")[2] not in ARITHMETIC
        }
        table = structs.replace(table, signals=left)
    return Data(pool, table, np.asarray(vectors, dtype=np.float64))


Foresee = Callable[[Data, NDArray[np.intp], NDArray[np.intp], int], tuple[Floats, Floats] | None]


def prior(
    data: Data, learn: NDArray[np.intp], test: NDArray[np.intp], seed: int, text: bool = False
) -> tuple[Floats, Floats] | None:
    """The task prior (and, with `text`, what the prompt adds): out of fold, and for the test."""
    rows, order = data.panel.take(learn), data.pool.order
    vectors = data.vectors if text else None
    if len(set(rows.segments)) < 2 and not text:
        return None
    fitted, seen = crossfit(
        np.column_stack([rows.score[t] for t in order]), rows.segments,
        None if vectors is None else vectors[learn], seed, order, groups=rows.groups,
    )  # fmt: skip
    if fitted.uses == "constant":
        return None
    segments = [data.panel.segments[i] for i in test]
    return seen, fitted.predict(segments, None if vectors is None else vectors[test])


def triage(
    data: Data, learn: NDArray[np.intp], test: NDArray[np.intp], seed: int
) -> tuple[Floats, Floats] | None:
    return prior(data, learn, test, seed, text=True)


def neighbours(
    data: Data, learn: NDArray[np.intp], test: NDArray[np.intp], seed: int
) -> tuple[Floats, Floats]:
    """The mean score of the nearest prompts, a tenth of them and at most 50."""
    k = max(5, min(50, learn.size // 10))
    scores = np.column_stack([data.panel.score[t][learn] for t in data.pool.order])

    def near(rows: NDArray[np.intp], own: bool) -> Floats:
        alike = data.vectors[rows] @ data.vectors[learn].T
        if own:
            np.fill_diagonal(alike, -np.inf)
        return np.asarray(scores[np.argpartition(-alike, k, axis=1)[:, :k]].mean(axis=1))

    return near(learn, True), near(test, False)


def linear(
    data: Data, learn: NDArray[np.intp], test: NDArray[np.intp], seed: int
) -> tuple[Floats, Floats]:
    """Ridge regression of each tier's score on the vector; the best of four penalties on test
    would be cheating, so the penalty is that of least leave-one-out error.
    """
    x, y = (
        data.vectors[learn],
        np.column_stack([data.panel.score[t][learn] for t in data.pool.order]),
    )
    mean, centre = y.mean(axis=0), x.mean(axis=0)
    u, s, v = np.linalg.svd(x - centre, full_matrices=False)
    best: tuple[float, Floats, Floats] | None = None
    for penalty in (0.3, 1.0, 3.0, 10.0, 30.0):
        shrunk = s / (s**2 + penalty)
        fitted = u @ ((s * shrunk)[:, None] * (u.T @ (y - mean)))
        lever = np.minimum(((u**2) * (s * shrunk)).sum(axis=1) + 1 / len(y), 0.99)[:, None]
        left_out = mean + fitted - lever / (1 - lever) * (y - mean - fitted)
        error = float(np.mean((left_out - y) ** 2))
        if best is None or error < best[0]:
            weights = v.T @ (shrunk[:, None] * (u.T @ (y - mean)))
            best = (error, left_out, mean + (data.vectors[test] - centre) @ weights)
    assert best is not None
    return best[1], best[2]


def with_triage(table: Panel, order: Sequence[str], values: Floats) -> Panel:
    for place, tier in enumerate(order):
        table = table.with_signal(f"triage.{tier}", values[:, place])
    return table


def bare(table: Panel) -> Panel:
    """The panel of a router before the call: nothing is read off an answer."""
    return structs.replace(table, signals={}, answers={}, texts={})


class Trial(Struct, frozen=True):
    """One split: the frontier figures of one kind of policy on the test half."""

    area: float | None
    apgr: float | None
    gain: float
    cost_99: float
    chosen_cost: float
    chosen_share: float


class Test:
    """The test half of a split: replays candidates and compares them."""

    def __init__(self, table: Panel, order: tuple[str, ...], fitted: Fit) -> None:
        corners = fitted.corners
        self.table = units(table, order, order[-1]).with_derived(fitted.shared)
        self.order = order
        score = np.column_stack([self.table.score[t] for t in order])
        cost = np.column_stack([self.table.cost_usd[t] for t in order])
        self.static = hull(cost.mean(axis=0), score.mean(axis=0))
        self.best = oracle(score, cost)
        self.top = float(score[:, -1].mean())
        self.low, self.gap = (
            float(score[:, 0].mean()),
            float(score[:, -1].mean() - score[:, 0].mean()),
        )
        at = [order.index(t) for t in corners]
        self.hull = curve([(float(cost[:, i].mean()), float(score[:, i].mean())) for i in at])

    def point(self, one: Any) -> tuple[float, float]:
        done = replay_array(one.policy, self.table, one.derived)
        return float(done.cost_usd.mean()), float(np.nan_to_num(done.score).mean())

    def trial(self, found: Sequence[Candidate], chosen: Candidate | None) -> Trial:
        """Judge a path: its points on the test rows, with mixes of neighbours between them."""
        ends = list(zip(self.hull.cost.tolist(), self.hull.score.tolist(), strict=True))
        inner = [self.point(one) for one in found]
        made = curve([*inner, ends[0], ends[-1]] if inner else ends)
        at = np.linspace(ends[0][0], ends[-1][0], 401)
        more = np.interp(at, made.cost, made.score) - np.interp(at, self.hull.cost, self.hull.score)
        spent, score = self.point(chosen) if chosen else ends[-1]
        enough = made.cost[made.score >= 0.99 * self.top]
        return Trial(
            area_share(made, self.static, self.best),
            (float(np.trapezoid(made.score, made.cost)) - self.low) / self.gap
            if len(self.order) == 2 and made.cost[0] == 0 and made.cost[-1] == 1 and self.gap > 0
            else None,
            float(more.mean()),
            float(enough[0]) if enough.size else 1.0,
            spent,
            score / self.top,
        )


def curve(points: Sequence[tuple[float, float]]) -> Frontier:
    at = np.array(sorted(points))
    return Frontier(at[:, 0], at[:, 1], np.arange(len(at)))


def pick(fitted: Fit, found: Sequence[Candidate]) -> Candidate | None:
    """The cheapest candidate whose cross-fitted score is 99% of the ceiling's."""
    top = float(fitted.known.panel.score[fitted.known.order[-1]].mean())
    enough = [one for one in found if one.score >= 0.99 * top]
    return min(enough, key=lambda one: one.price, default=None)


KINDS: Mapping[str, Foresee] = {"prior": prior, "kNN": neighbours, "ridge": linear}


def run(data: Data, n: int, seed: int, baselines: bool = True) -> dict[str, Any]:
    """Return the trials of one split with n labels, by kind of policy."""
    order = data.pool.order
    learn, test = data.split(seed)
    learn = learn[:n]
    tune, judged = data.panel.take(learn), data.panel.take(test)
    foreseen = triage(data, learn, test, seed)
    began = time.perf_counter()
    fitted = fit_routing(
        tune if foreseen is None else with_triage(tune, order, foreseen[0]),
        order,
        order[-1],
        seed=seed,
    )
    took = time.perf_counter() - began
    full = judged if foreseen is None else with_triage(judged, order, foreseen[1])
    against = Test(full, order, fitted)
    path = list(routed_candidates(fitted, order))
    found: dict[str, Any] = {
        "ours": against.trial(path, pick(fitted, path)),
        "gated": against.trial(path if fitted.verdict.route else [], None),
        "hull": against.trial([], None),
        "verdict": fitted.verdict,
        "seconds": took,
    }
    for name, kind in KINDS.items() if baselines else ():
        seen = kind(data, learn, test, seed)
        if seen is None:
            continue
        before = fit_routing(with_triage(bare(tune), order, seen[0]), order, order[-1], seed=seed)
        path = list(routed_candidates(before, order))
        found[name] = Test(with_triage(bare(judged), order, seen[1]), order, before).trial(
            path, pick(before, path)
        )
    return found


EPSILON, DELTA, TUNE, CERTIFY = 0.02, 0.05, 300, 500


def certified(data: Data, seed: int) -> tuple[float, float]:
    """Certify a path on 500 rows: (cost saved, loss) on all rows that were not tuned on."""
    order, ceiling = data.pool.order, data.pool.order[-1]
    mixed = np.random.default_rng([seed, 77]).permutation(data.panel.n)
    fitted = fit_routing(data.panel.take(mixed[:TUNE]), order, ceiling, seed=seed)
    path = sorted(routed_candidates(fitted, order), key=lambda one: -one.price)
    if not path:
        return 0.0, 0.0
    others = units(data.panel.take(mixed[TUNE:]), order, ceiling).with_derived(fitted.shared)
    done = [replay_array(one.policy, others, one.derived) for one in path]
    away = np.array(
        [np.zeros(others.n)] + [np.nan_to_num(d.score) - others.score[ceiling] for d in done]
    )
    top = float(fitted.known.panel.score[ceiling].mean())
    errors = [np.sqrt((one.discordant * TUNE + 1) / (TUNE + 1) / CERTIFY) for one in path]
    room = [(EPSILON - top + one.score) / error for one, error in zip(path, errors, strict=True)]
    tested = certify_path(
        away[:, :CERTIFY], EPSILON, DELTA, 1 + int(np.argmax(room)), scores="binary", seed=seed
    )
    costs = [1.0, *(float(d.cost_usd.mean()) for d in done)]
    kept = min((p.index for p in tested.policies if p.passed), key=lambda place: costs[place])
    return 1 - costs[kept], float(-away[kept].mean())


def certify_row(data: Data, splits: int) -> dict[str, Any]:
    """Return what was saved and how often the promise broke over splits, with the exact test."""
    found = np.array([certified(data, seed) for seed in range(splits)])
    broken = int((found[:, 1] > EPSILON).sum())
    return {
        "pool": data.pool.name, "certify": CERTIFY, "splits": splits,
        "saved": float(found[:, 0].mean()), "broken": broken,
        "p_value": float(binomtest(broken, splits, DELTA, "greater").pvalue),
    }  # fmt: skip


def harm_row(data: Data, n: int, seeds: int) -> dict[str, Any]:
    """Return how often the gated policies score half a point less than the hull at equal cost."""
    runs = [run(data, n, 100 + seed, baselines=False) for seed in range(seeds)]
    gain = np.array([one["gated"].gain for one in runs])
    return {
        "pool": data.pool.name, "labels": n, "seeds": seeds,
        "harmed": float((gain < -0.005).mean()), "worst": float(gain.min()),
        "routed": float(np.mean([one["verdict"].route for one in runs])),
        "gain_if_routed": float(np.mean([one["ours"].gain for one in runs])),
    }  # fmt: skip


GOALS = (
    ("routellm_gsm8k, after", 300, "apgr", 0.77),
    ("nine models", 3000, "area", 0.32),
    ("zeroeval, 3 tiers", 650, "area", 0.27),
    ("zeroeval, 4 tiers", 650, "area", 0.27),
)


def goals(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return each goal with what was measured; 99% of the ceiling is to cost at most .42 of it."""
    found = []
    for row in rows:
        for pool, n, figure, least in GOALS:
            if (row["pool"], row["labels"]) == (pool, n):
                got = row["kinds"]["ours"][figure]
                found.append(
                    {
                        "goal": f"{pool}, {n} labels, {figure} >= {least}",
                        "got": got,
                        "hit": got >= least,
                    }
                )
        if row["pool"].startswith("zeroeval") and row["labels"] == 650:
            got = row["kinds"]["ours"]["cost_99"]
            found.append(
                {"goal": f"{row['pool']}, cost of 99% <= 0.42", "got": got, "hit": got <= 0.42}
            )
    return found


def mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def table_of(data: Data, n: int, seeds: int) -> dict[str, Any]:
    """Return the figures of one pool and number of labels, averaged over seeds."""
    runs = [run(data, n, seed) for seed in range(seeds)]
    kinds = [k for k in ("hull", "prior", "kNN", "ridge", "ours", "gated") if k in runs[0]]
    figures = {
        kind: {
            f: mean([getattr(one[kind], f) for one in runs if kind in one])
            for f in Trial.__struct_fields__
        }
        for kind in kinds
    }
    routed = mean([float(one["verdict"].route) for one in runs])
    return {
        "pool": data.pool.name, "labels": n, "seeds": seeds, "kinds": figures, "routed": routed,
        "seconds": mean([one["seconds"] for one in runs]),
    }  # fmt: skip


def show(row: Mapping[str, Any]) -> None:
    print(f"{row['pool']}, {row['labels']} labels, {row['seeds']} seeds")
    print(f"    verdict route in {row['routed']:.2f}; fit {row['seconds']:.2f} s")
    for kind, figures in row["kinds"].items():
        said = ", ".join(f"{k} {v:.3f}" for k, v in figures.items() if v is not None)
        print(f"    {kind:6} {said}")


def main() -> None:
    wanted = argparse.ArgumentParser(description=__doc__)
    wanted.add_argument("--full", action="store_true")
    wanted.add_argument("--pool", default="")
    wanted.add_argument("--seeds", type=int, default=2)
    wanted.add_argument("--json", action="store_true")
    args = wanted.parse_args()
    folder = Path(os.environ.get("STEPDOWN_DATA", "../shared/data")) / "outcomes"
    if not folder.is_dir():
        sys.exit(f"no data: {folder} (set STEPDOWN_DATA)")
    rows: list[dict[str, Any]] = []
    seeds = 5 if args.full else args.seeds
    for pool in (one for one in POOLS if args.pool in one.name):
        data = load(folder, pool)
        for n in pool.labels:
            rows.append(table_of(data, n, seeds))
            print(json.dumps(rows[-1])) if args.json else show(rows[-1])
        for n in (50, 200, 1000):
            print(json.dumps(harm_row(data, n, 1000 if args.full else seeds)), flush=True)
        if pool.file == "zeroeval_gsm":
            print(json.dumps(certify_row(data, 1000 if args.full else 20)), flush=True)
    for goal in goals(rows):
        print(json.dumps(goal))


if __name__ == "__main__":
    main()
