"""A synthetic outcome table for the benchmarks of speed: 4 tiers, 3 signals, answers, prompts."""

from __future__ import annotations

from pathlib import Path

import numpy as np

TIERS = ("rule", "expert", "small", "frontier")
SIGNALS = ("label_prob", "margin", "token_mean")
SKILL = {"rule": 0.0, "expert": 1.0, "small": 1.6, "frontier": 3.0}
COST_USD = {"rule": 0.0, "expert": 2e-6, "small": 2e-5, "frontier": 2e-3}
SAID = (
    "order parcel refund card invoice change address cancel late broken missing account login "
    "email phone size colour delivery courier payment twice charge discount code return label "
    "shop item stock warranty repair receipt question please thanks today week month"
)
WORDS = np.array(SAID.split(" "))


def write_synthetic(path: Path, n: int, seed: int = 1) -> None:
    """Write `n` queries of every tier, in the order of the queries, in row groups of one piece."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(seed)
    writer = None
    for first in range(0, n, 20_000):
        table = pa.table(_piece(rng, np.arange(first, min(n, first + 20_000))))
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    assert writer is not None
    writer.close()


def _piece(rng: np.random.Generator, ids: np.ndarray) -> dict[str, object]:
    import pyarrow as pa

    m, k = ids.size, len(TIERS)
    hard = rng.normal(size=m)
    prompts = [" ".join(row) for row in WORDS[rng.integers(0, WORDS.size, (m, 30))]]
    skill = np.array([SKILL[t] for t in TIERS])
    chance = 1 / (1 + np.exp(-(skill - hard[:, None])))
    right = rng.uniform(size=(m, k)) < chance
    wrong = rng.integers(1, 77, (m, k))
    sure = np.clip(chance + 0.12 * rng.normal(size=(m, k)), 1e-3, 1 - 1e-3)
    said = np.where(right, 0, wrong).ravel()
    label = np.repeat(ids % 77, k)
    each = np.tile(np.array(TIERS), m)
    columns: dict[str, object] = {
        "query_id": pa.array([f"q{i}" for i in np.repeat(ids, k)]),
        "tier": pa.array(each).dictionary_encode(),
        "score": right.ravel().astype(float),
        "cost_usd": np.tile([COST_USD[t] for t in TIERS], m) * rng.uniform(0.5, 1.5, m * k),
        "latency_s": rng.exponential(0.2, m * k),
        "answer": pa.array([f"answer {(a + b) % 77}" for a, b in zip(said, label, strict=True)]),
        "prompt": pa.array(np.repeat(np.array(prompts, dtype=object), k)),
    }
    for place, name in enumerate(SIGNALS):
        noisy = sure + 0.05 * place * rng.normal(size=sure.shape)
        columns[f"signal.{name}"] = np.clip(noisy, 1e-3, 1 - 1e-3).ravel()
    return columns
