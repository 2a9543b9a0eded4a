"""Routing before the call: triage against hull, prior, kNN, ridge, MLP and oracle on recorded data.

Half of the queries teach, half test (duplicates by normalised prompt on one side), n labels from
the learning half, seeds 0 to 4, one thread. Needs STEPDOWN_DATA (default ../shared/data).
`--full` adds more label counts. `--minilm PATH` takes the vectors of MiniLM's model.safetensors.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from pyarrow import parquet

from stepdown.adapters.encoders.static import load_static
from stepdown.certify.triage import Triage, crossfit, shapes_of
from stepdown.core.digest import digest
from stepdown.evals.duplicates import normalised
from stepdown.stats.frontier import Frontier, apgr, area_share, cpt, deferral_curve, hull, oracle

Floats = NDArray[np.float64]
SEEDS = range(5)
MMLU = ("mistralai/Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview")
PRO = (
    "Meta-Llama-3_1-8B-Instruct",
    "gemini-1.5-flash-002",
    "Meta-Llama-3_1-70B-Instruct",
    "gemini-1.5-pro-002",
)
GSM = (
    "Meta-Llama-3-8B-Instruct",
    "Meta-Llama-3.1-8B-Instruct",
    "gpt-4o-mini-2024-07-18",
    "claude-3-haiku-20240307",
    "Meta-Llama-3.1-70B-Instruct",
    "gpt-4o-2024-08-06",
)
POOLS: dict[str, tuple[str, tuple[str, ...], tuple[int, ...], tuple[int, ...]]] = {
    "RouteLLM-MMLU, APGR": ("routellm_mmlu", MMLU, (100, 6900), (300, 1000)),
    "nine models, area": ("llmrouter_dcrouter", (), (300, 3000), (1000,)),
    "MMLU-Pro 4 tiers, area": ("mmlu_pro", PRO, (300, 6000), ()),
    "ZeroEval 6 tiers, area": ("zeroeval_gsm", GSM, (300, 10**9), ()),
}
GOALS = {
    ("RouteLLM-MMLU, APGR", 100): 0.64,
    ("RouteLLM-MMLU, APGR", 6900): 0.69,
    ("nine models, area", 300): 0.232,
    ("nine models, area", 3000): 0.32,
}


class Pool(msgspec.Struct, frozen=True, eq=False):
    """Queries with a score on every tier: arrays of shape (n, ...)."""

    scores: Floats
    costs: Floats
    segments: NDArray[Any]
    groups: NDArray[Any]
    vectors: NDArray[np.float32]
    shapes: Floats
    prompts: list[str]
    tiers: tuple[str, ...]

    @property
    def priced(self) -> bool:
        return len(self.tiers) > 2


def read(folder: Path, name: str, tiers: tuple[str, ...], embed: Callable[..., Any]) -> Pool:
    queries = parquet.read_table(folder / f"{name}.queries.parquet").to_pylist()
    queries = [q for q in queries if str(q.get("contaminated")).lower() != "true"]
    rows = parquet.read_table(folder / f"{name}.scores.parquet").to_pylist()
    tiers = tiers or tuple(sorted({row["model"] for row in rows}))
    column, place = {t: i for i, t in enumerate(tiers)}, {}
    place = {q["query_id"]: i for i, q in enumerate(queries)}
    scores = np.full((len(queries), len(tiers)), np.nan)
    costs = np.tile(np.arange(len(tiers), dtype=np.float64), (len(queries), 1))
    for row in rows:
        if row["model"] in column and row["query_id"] in place:
            at = place[row["query_id"]], column[row["model"]]
            scores[at] = np.nan if row["score"] is None else row["score"]
            costs[at] = costs[at] if row.get("cost_usd") is None else row["cost_usd"]
    kept = np.flatnonzero(~np.isnan(scores).any(axis=1))
    prompts = [queries[i]["prompt"] for i in kept]
    segments = np.array([str(queries[i]["task"]) for i in kept])
    groups = np.array([normalised(p) for p in prompts])
    vectors, shapes = embed(prompts), shapes_of(prompts)
    return Pool(scores[kept], costs[kept], segments, groups, vectors, shapes, prompts, tiers)


def cached(encoder: Any) -> Callable[[list[str]], Any]:
    def embed(prompts: list[str]) -> Any:
        key = digest([encoder.digest, prompts]).removeprefix("sha256:")[:16]
        path = Path(tempfile.gettempdir()) / f"stepdown-vectors-{key}.npy"
        if not path.is_file():
            np.save(path, encoder.embed(prompts))
        return np.load(path)

    return embed


def halves(pool: Pool, seed: int) -> tuple[Any, Any]:
    _, code = np.unique(pool.groups, return_inverse=True)
    chance = np.random.default_rng(seed)
    side = (chance.permutation(int(code.max()) + 1) % 2)[code]
    return chance.permutation(np.flatnonzero(side == 0)), np.flatnonzero(side == 1)


def figure(pool: Pool, learn: Any, test: Any, said: Floats) -> tuple[float, ...]:
    scores = pool.scores[test]
    if not pool.priced:
        curve = deferral_curve(said[:, 1] - said[:, 0], scores[:, 0], scores[:, 1])
        return (apgr(curve) or 0.0, *(x or 0.0 for x in cpt(curve)))
    costs, fitted = pool.costs[test], pool.costs[learn].mean(axis=0)
    corners = hull(fitted, pool.scores[learn].mean(axis=0)).index
    static = points([(costs[:, i].mean(), scores[:, i].mean()) for i in corners])
    path, rows = [], np.arange(len(test))
    for price in np.concatenate([[0.0], np.geomspace(1e-3, 50, 120)]) / fitted.max():
        tier = (said - price * fitted).argmax(axis=1)
        path.append((costs[rows, tier].mean(), scores[rows, tier].mean()))
    return (area_share(points(path), static, oracle(scores, costs)) or 0.0,)


def points(path: list[tuple[Any, Any]]) -> Frontier:
    """The points as they are, by cost: no envelope drawn with the test scores."""
    table = np.array(sorted(path), dtype=np.float64)
    return Frontier(table[:, 0], table[:, 1], np.arange(len(table)))


def baselines(pool: Pool, learn: Any, test: Any) -> dict[str, Floats]:
    from sklearn.linear_model import RidgeCV
    from sklearn.neighbors import KNeighborsRegressor
    from sklearn.neural_network import MLPRegressor

    names = np.unique(pool.segments[learn])
    ones = (pool.segments[:, None] == names[None, :]).astype(np.float64)
    centred = pool.vectors - pool.vectors[learn].mean(axis=0)
    axes = np.linalg.svd(centred[learn][:3000], full_matrices=False)[2][:64]
    wide = np.hstack([centred @ axes.T, 0.3 * ones])
    k = max(5, min(100, int(len(learn) ** 0.5) * 2))
    ridge = RidgeCV(np.geomspace(0.1, 1000, 9)).fit(wide[learn], pool.scores[learn])
    mlp = MLPRegressor(
        hidden_layer_sizes=(32,), alpha=1e-3, max_iter=25, learning_rate_init=3e-3, random_state=0
    )
    near = KNeighborsRegressor(k).fit(pool.vectors[learn], pool.scores[learn])
    return {
        "kNN": near.predict(pool.vectors[test]),
        "ridge": ridge.predict(wide[test]),
        "MLP": mlp.fit(wide[learn], pool.scores[learn]).predict(wide[test]),
    }


def trial(pool: Pool, n: int, seed: int) -> tuple[dict[str, tuple[float, ...]], Triage]:
    learn, test = halves(pool, seed)
    learn = learn[:n]
    rows = (pool.scores[learn], [str(s) for s in pool.segments[learn]], pool.vectors[learn])
    groups, named = pool.groups[learn].tolist(), [str(s) for s in pool.segments[test]]
    found, _ = crossfit(*rows, seed, pool.tiers, shapes=pool.shapes[learn], groups=groups)
    plain, _ = crossfit(*rows, seed, pool.tiers, groups=groups)
    said = {
        "prior": crossfit(rows[0], rows[1], None, seed, pool.tiers, groups=groups)[0].predict(
            named, None
        ),
        **baselines(pool, learn, test),
        "triage, vectors": plain.predict(named, pool.vectors[test]),
        "triage": found.predict(named, pool.vectors[test], pool.shapes[test]),
        "oracle": pool.scores[test],
    }
    return {name: figure(pool, learn, test, value) for name, value in said.items()}, found


def run(label: str, pool: Pool, n: int) -> float:
    start, each, found = time.perf_counter(), [], []
    for seed in SEEDS:
        figures, triage = trial(pool, n, seed)
        each.append(figures)
        found.append(triage)
    print(f"\n{label}, {min(n, len(pool.scores) // 2)} labels, {len(pool.scores)} queries")
    print(f"  {'hull':16s} {0.0 if pool.priced else 0.5:.3f}")
    for name in each[0]:
        table = np.array([one[name] for one in each])
        more = "" if pool.priced else "  CPT50/80 {1:.3f}/{2:.3f}".format(*table.mean(axis=0))
        print(f"  {name:16s} {table[:, 0].mean():.3f} (sd {table[:, 0].std(ddof=1):.3f}){more}")
    used = [f"{t.uses}{'' if t.worth else ' (not worth it)'}" for t in found]
    print(f"  used: {', '.join(used)}; {time.perf_counter() - start:.0f} s", flush=True)
    return float(np.mean([one["triage"][0] for one in each]))


def latency(pool: Pool, encoder: Any) -> None:
    rows = (pool.scores[:1500], [str(s) for s in pool.segments[:1500]], pool.vectors[:1500])
    triage, _ = crossfit(*rows, 0, pool.tiers, shapes=pool.shapes[:1500])
    short = ["Where is my parcel? It was due on Monday and the courier says it is lost."]
    steps: list[tuple[str, Callable[[str], Any]]] = [
        ("embed", lambda text: encoder.embed([text])),
        ("shape", lambda text: shapes_of([text])),
        (f"predict ({triage.uses})", lambda _: triage.predict(["x"], vector, shape)),
        ("familiar", lambda _: triage.familiar(vector)),
    ]
    vector, shape = encoder.embed(short), shapes_of(short)
    for kind, texts in (("short prompt", short * 500), ("pool's prompts", pool.prompts[:500])):
        mean = np.mean([len(text) for text in texts])
        print(f"\none {kind} (mean {mean:.0f} characters), best of 5, microseconds:")
        took = [best_of(step, texts) for _, step in steps]
        print("  " + ", ".join(f"{n} {t:.0f}" for (n, _), t in zip(steps, took, strict=True)))
        print(f"  sum {sum(took):.0f} (target 200: {'hit' if sum(took) < 200 else 'MISS'})")


def best_of(step: Callable[[str], Any], texts: list[str]) -> float:
    took = []
    for _ in range(5):
        start = time.perf_counter()
        for text in texts:
            step(text)
        took.append((time.perf_counter() - start) / len(texts) * 1e6)
    return min(took)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--minilm", type=Path)
    asked = parser.parse_args()
    folder = Path(os.environ.get("STEPDOWN_DATA", "../shared/data")) / "outcomes"
    if not folder.is_dir():
        print(f"no data: {folder} (set STEPDOWN_DATA); nothing measured")
        return
    static = load_static()
    encoder: Any = static
    if asked.minilm:
        from stepdown.adapters.encoders.minilm import load_minilm

        encoder = load_minilm(asked.minilm, Path(tempfile.gettempdir()), threads=1)
    reached = {}
    for label, (name, tiers, few, more) in POOLS.items():
        pool = read(folder, name, tiers, cached(encoder))
        for n in sorted((*few, *(more if asked.full else ()))):
            reached[label, n] = run(label, pool, n)
        if label.startswith("nine"):
            latency(pool, static)
    print()
    for key, goal in GOALS.items():
        said = "hit" if reached[key] >= goal else f"MISS by {goal - reached[key]:.3f}"
        print(f"goal {key[0]}, {key[1]} labels: {reached[key]:.3f} against {goal}: {said}")


if __name__ == "__main__":
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        sys.exit(main())
