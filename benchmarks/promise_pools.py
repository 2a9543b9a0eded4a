"""Pools for the test of the promise: recorded tables, and synthetic worlds made to break it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from stepdown.adapters.tables.outcome_panel import read_pair_panel
from stepdown.core.replay_array import Panel

Floats = NDArray[np.float64]
ROOT = Path(__file__).parents[1]
ROWS = 20_000  # of a synthetic pool
SMALL, MINI, BIG = "Meta-Llama-3.1-8B-Instruct", "gpt-4o-mini-2024-07-18", "gpt-4o-2024-08-06"
COSTS = {"rule": 0.01, "small": 0.05, "middle": 0.2, "big": 1.0}


class Pool(Struct, frozen=True):
    """A pool: `of()` makes its panel; tiers weakest first; `binary`: scores are 0 or 1."""

    name: str
    tiers: tuple[str, ...]
    of: Callable[[], Panel]
    binary: bool = True


def data() -> Path:
    return Path(os.environ.get("STEPDOWN_DATA", ROOT.parent / "shared" / "data"))


def recorded(name: str, file: str, *tiers: str) -> Pool:
    """Return a recorded pool: the rows on which every tier has a score."""

    def of() -> Panel:
        table = read_pair_panel(data() / "outcomes", file, models=frozenset(tiers))
        known = [table.available[t] & ~np.isnan(table.score[t]) for t in tiers]
        return table.take(np.flatnonzero(np.all(known, axis=0)))

    return Pool(name, tiers, of)


RECORDED = (
    recorded("zeroeval, 3 tiers", "zeroeval_gsm", SMALL, MINI, BIG),
    recorded("zeroeval, 4 tiers", "zeroeval_gsm", SMALL, "gemma-2-9b-it", MINI, BIG),
    recorded(
        "zeroeval, 4 tiers to opus",
        "zeroeval_gsm", SMALL, "gemma-2-9b-it", "Meta-Llama-3-70B-Instruct",
        "claude-3-opus-20240229",
    ),
    recorded(
        "routellm gsm8k", "routellm_gsm8k", "mistralai/Mixtral-8x7B-Instruct-v0.1",
        "gpt-4-1106-preview",
    ),
    recorded(
        "llmrouter pair", "llmrouter_dcrouter", "llama-3.1-8b-instruct",
        "llama-3.1-nemotron-51b-instruct",
    ),
    recorded(
        "llmrouter triple", "llmrouter_dcrouter", "gemma-2-9b-it", "llama-3.1-8b-instruct",
        "llama-3.3-nemotron-super-49b-v1",
    ),
    recorded(
        "mmlu_pro, 8B to 70B", "mmlu_pro", "Meta-Llama-3_1-8B-Instruct",
        "Meta-Llama-3_1-70B-Instruct",
    ),
    recorded(
        "mmlu_pro, 70B to flash", "mmlu_pro", "Meta-Llama-3_1-70B-Instruct",
        "gemini-1.5-flash-002",
    ),
)  # fmt: skip


class World(Struct, frozen=True):
    """What a synthetic pool draws: `chance` and `sure` of each tier given the difficulty (n,).

    `noise` columns that say nothing are read off every cheap answer; `labels` kinds of answers.
    """

    chance: Callable[[str, Floats, np.random.Generator], Floats]
    sure: Callable[[str, Floats, np.random.Generator], Floats | None]
    tiers: tuple[str, ...] = ("small", "middle", "big")
    noise: int = 0
    labels: int = 0
    segments: int = 0
    graded: bool = False


SKILL = {"rule": -0.5, "small": 1.2, "middle": 2.2, "big": 3.5}


def rising(tier: str, hard: Floats, rng: np.random.Generator) -> Floats:
    return 1 / (1 + np.exp(-(SKILL[tier] - hard)))


def calibrated(tier: str, hard: Floats, rng: np.random.Generator) -> Floats:
    return np.clip(rising(tier, hard, rng) + 0.1 * rng.normal(size=hard.size), 0.001, 0.999)


def flat(tier: str, hard: Floats, rng: np.random.Generator) -> Floats:
    """All small tiers lose five points to the ceiling, everywhere: only a mix keeps two."""
    return np.full(hard.size, 0.90 if tier == "big" else 0.85)


def border(tier: str, hard: Floats, rng: np.random.Generator) -> Floats:
    """The small tier loses a hair more than two points: it must be refused."""
    return np.full(hard.size, 0.99 if tier == "big" else 0.9695)


def spiked(tier: str, hard: Floats, rng: np.random.Generator) -> Floats:
    """The surest 8% (`spike`) are right 60 times in 100 by the small tiers."""
    found = rising(tier, hard, rng)
    return found if tier == "big" else np.where(hard < -1.4, 0.6, found)


def spike(tier: str, hard: Floats, rng: np.random.Generator) -> Floats:
    return np.clip(1 / (1 + np.exp(hard)) + 0.01 * rng.normal(size=hard.size), 0.001, 0.999)


def tied(tier: str, hard: Floats, rng: np.random.Generator) -> Floats:
    return np.round(calibrated(tier, hard, rng) * 4) / 4


def unsaid(tier: str, hard: Floats, rng: np.random.Generator) -> None:
    return None


WORLDS = {
    "calibrated": World(rising, calibrated),
    "ties": World(rising, tied),
    "spike": World(spiked, spike),
    "flat, mixes only": World(flat, unsaid, ("small", "big")),
    "just over the border": World(border, unsaid, ("small", "big")),
    "noise of 30 signals": World(flat, calibrated, noise=30),
    "agreement and segments": World(rising, unsaid, labels=5, segments=6),
    "graded": World(rising, calibrated, graded=True),
}


def synthetic(name: str, world: World) -> Pool:
    return Pool(f"synthetic: {name}", world.tiers, lambda: _drawn(world), not world.graded)


def _drawn(world: World) -> Panel:
    rng = np.random.default_rng([20261122, world.noise, world.labels])
    n = ROWS
    kind = rng.integers(0, max(1, world.segments), n)
    hard = rng.normal(size=n) + (kind - kind.mean()) * 0.5
    score: dict[str, Floats] = {}
    signals: dict[str, Floats] = {}
    answers: dict[str, NDArray[np.int32]] = {}
    for tier in world.tiers:
        chance = world.chance(tier, hard, rng)
        right = rng.random(n) < chance
        score[tier] = (
            rng.beta(8 * chance, 8 * (1 - chance)) if world.graded else right.astype(float)
        )
        sure = world.sure(tier, hard, rng)
        if sure is not None and tier != "big":
            signals[f"{tier}.label_prob"] = sure
        for place in range(world.noise if tier != "big" else 0):
            signals[f"{tier}.shape_noise{place}"] = rng.normal(size=n)
        if world.labels:
            wrong = rng.integers(1, world.labels, n)
            answers[tier] = np.where(right, 0, wrong).astype(np.int32)
    none = np.zeros(n, dtype=np.int32)
    return Panel(
        query_ids=tuple(f"w{i}" for i in range(n)),
        groups=(None,) * n,
        score=score,
        cost_usd={t: COSTS[t] * rng.uniform(0.5, 1.5, n) for t in world.tiers},
        latency_s={t: np.full(n, np.nan) for t in world.tiers},
        available={t: np.ones(n, dtype=bool) for t in world.tiers},
        failure=dict.fromkeys(world.tiers, none),
        signals=signals,
        answers=answers,
        segments=tuple(f"kind {k}" for k in kind) if world.segments else (),
    )


SYNTHETIC = tuple(synthetic(name, world) for name, world in WORLDS.items())
POOLS = {pool.name: pool for pool in (*RECORDED, *SYNTHETIC)}
