"""Synthetic populations: accuracy as a function of the share of traffic that is surer.

Only the order of confidences matters to a threshold, so most give it as 1 - share.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from traffic.population import Floats, Population

ROWS = 200_000
SEED = 20261122  # of what is drawn once to build a population


def everyday() -> list[Population]:
    """Return populations on which something can be kept at .90; strength is measured on them."""
    return [
        _by_share("calibrated", lambda u: 1 - 0.5 * u),
        _by_share("over-confident", lambda u: 0.97 - 0.42 * u),
        _by_share("confident-wrong spike", spike),
        _by_share("rare keep", lambda u: np.where(u < 0.03, 0.99, 0.6)),
        _by_share("rare positive", lambda u: 1 / (1 + np.exp((u - 0.12) / 0.02))),
        _by_share("slow decline", lambda u: 0.93 - 0.1 * u),
        ties(),
        out_of_scope(),
    ]


def edges() -> list[Population]:
    """Return populations that leave nothing to choose, or nothing to keep; for validity."""
    return [
        _by_share("all right", np.ones_like),
        _by_share("at the target .90", lambda u: np.full_like(u, 0.9 - 1e-6)),
        _by_share("at the target .95", lambda u: np.full_like(u, 0.95 - 1e-6)),
        _by_share("never good enough", lambda u: np.full_like(u, 0.87)),
        _by_share("worse where surer", lambda u: 0.8 + 0.12 * u),
        _by_share("waves", lambda u: 0.9 + 0.08 * np.sin(u * 40) - 0.05 * u),
        clustered(),
    ]


def spike(u: Floats) -> Floats:
    """Return an accuracy of .86 for the surest 8%, and a fall from .99 below."""
    return np.where(u < 0.08, 0.86, 0.99 - 0.5 * (u - 0.08))


def ties() -> Population:
    """Return five distinct confidences."""
    rows = (np.array([0.12, 0.25, 0.20, 0.23, 0.20]) * ROWS).astype(int)
    confidence = np.repeat([0.9, 0.8, 0.6, 0.4, 0.2], rows)
    return Population("ties", confidence, np.repeat([0.985, 0.95, 0.86, 0.7, 0.5], rows))


def out_of_scope() -> Population:
    """Return a fifth of queries that nobody can answer, spread over middling confidences."""
    rng = np.random.default_rng(SEED)
    u, outside = _shares(), rng.random(ROWS) < 0.2
    confidence = np.where(outside, 1 - rng.beta(3, 2, ROWS), 1 - u)
    return Population("out of scope", confidence, np.where(outside, 0.0, 1 - 0.35 * u**2))


def clustered() -> Population:
    """Return conversations of 1 to 8 messages: half of the messages share one fate."""
    rng = np.random.default_rng(SEED + 1)
    sizes = rng.integers(1, 9, ROWS // 10)
    groups = np.repeat(np.arange(sizes.size), sizes)
    level = rng.random(sizes.size)[groups]
    share = np.clip(level + 0.05 * rng.standard_normal(groups.size), 0, 1)
    chance = 1 - 0.5 * share
    common = rng.random(sizes.size)[groups] < 1 - 0.5 * level
    own = rng.random(groups.size) < chance
    right = np.where(rng.random(groups.size) < 0.5, common, own)
    return Population("clustered", 1 - share, right.astype(float), groups=groups)


def _by_share(name: str, accuracy: Callable[[Floats], Floats]) -> Population:
    u = _shares()
    return Population(name, 1 - u, np.clip(accuracy(u), 0, 1))


def _shares() -> Floats:
    return (np.arange(ROWS) + 0.5) / ROWS
