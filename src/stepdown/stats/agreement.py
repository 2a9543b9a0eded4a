"""How far two raters agree, and how far two rankings do: rate, kappa, rank correlation.

Values for display with bootstrap intervals over rows, or over whole groups. Nothing is promised.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from stepdown.errors import DataError
from stepdown.stats.arrays import Floats, Groups, group_codes
from stepdown.stats.intervals import FEWEST_FOR_BOOTSTRAP, RESAMPLES, Interval

Statistic = Callable[..., Any]  # of arrays (..., n), over the last axis; nan where not defined
BLOCK = 2_000_000  # resampled values held in memory at a time


@dataclass(frozen=True, slots=True)
class Estimate:
    """A statistic with its interval; `value` is None where it is not defined for these rows."""

    value: float | None
    interval: Interval


def kappa(
    a: ArrayLike, b: ArrayLike, groups: Groups | None = None, level: float = 0.95, seed: int = 0
) -> Estimate:
    """Return Cohen's kappa of two raters' categories (any values that compare equal).

    Not defined where both used one and the same category throughout. Source: Cohen (1960), eq. 1.
    """
    first, second = np.asarray(a), np.asarray(b)
    _, codes = np.unique(np.concatenate([first, second]), return_inverse=True)
    return _estimate(_kappa, (codes[: first.size], codes[first.size :]), groups, level, seed)


def rank_correlation(
    a: ArrayLike, b: ArrayLike, groups: Groups | None = None, level: float = 0.95, seed: int = 0
) -> Estimate:
    """Return Spearman's rho: the correlation of mid-ranks. Not defined for a constant.

    Source: Spearman (1904); ties as in scipy.stats.spearmanr.
    """
    return _estimate(spearman, (np.asarray(a, float), np.asarray(b, float)), groups, level, seed)


def rank_gap_interval(
    a: ArrayLike, b: ArrayLike, truth: ArrayLike, level: float = 0.95, seed: int = 0
) -> Estimate:
    """Return how much better `a` ranks like the truth than `b` does, on the same rows."""
    columns = tuple(np.asarray(each, float) for each in (a, b, truth))
    return _estimate(rank_gap, columns, None, level, seed)


def spearman(a: Floats, b: Floats) -> Any:
    """Return the correlation of the mid-ranks over the last axis, nan where one is constant."""
    from scipy.stats import rankdata

    x, y = rankdata(a, axis=-1), rankdata(b, axis=-1)
    x, y = x - x.mean(-1, keepdims=True), y - y.mean(-1, keepdims=True)
    length = np.sqrt((x * x).sum(-1) * (y * y).sum(-1))
    return np.where(length > 0, (x * y).sum(-1) / np.where(length > 0, length, 1.0), np.nan)


def rank_gap(a: Floats, b: Floats, truth: Floats) -> Any:
    """Return how much better `a` ranks like the truth than `b` does."""
    return spearman(a, truth) - spearman(b, truth)


def resampled(
    statistic: Statistic,
    columns: tuple[np.ndarray, ...],
    groups: Groups | None,
    seed: int,
    draws: int = RESAMPLES,
) -> Floats:
    """Return a statistic on bootstrap draws of rows, or of whole groups; nan draws are left out.

    Source: Efron and Tibshirani (1993), section 13.
    """
    n = columns[0].size
    generator = np.random.default_rng(seed)
    if groups is None:
        steps = [min(BLOCK // n + 1, draws - at) for at in range(0, draws, BLOCK // n + 1)]
        blocks = (generator.integers(0, n, (step, n)) for step in steps)
        parts = [statistic(*(column[rows] for column in columns)) for rows in blocks]
        found = np.concatenate(parts)
    else:
        members = _members(groups, n)
        picks = (generator.integers(0, len(members), len(members)) for _ in range(draws))
        drawn = (np.concatenate([members[i] for i in pick]) for pick in picks)
        found = np.array([statistic(*(column[rows] for column in columns)) for rows in drawn])
    return np.asarray(found[np.isfinite(found)], dtype=np.float64)


def _estimate(
    statistic: Statistic,
    columns: tuple[np.ndarray, ...],
    groups: Groups | None,
    level: float,
    seed: int,
) -> Estimate:
    sizes = {column.size for column in columns}
    if len(sizes) != 1:
        raise DataError(f"The columns have {sorted(sizes)} rows; pairs are needed.")
    n = sizes.pop()
    value = statistic(*columns) if n else float("nan")
    found = None if not np.isfinite(value) else float(value)
    return Estimate(found, _interval(statistic, columns, groups, level, seed, found))


def _interval(
    statistic: Statistic,
    columns: tuple[np.ndarray, ...],
    groups: Groups | None,
    level: float,
    seed: int,
    value: float | None,
) -> Interval:
    n = columns[0].size
    if value is None or len(_members(groups, n)) < FEWEST_FOR_BOOTSTRAP:
        return Interval(None, None, level, "none: too few rows", n)
    draws = resampled(statistic, columns, groups, seed)
    if draws.size < RESAMPLES // 2:
        return Interval(None, None, level, "none: hardly any spread", n)
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(min(low, value)), float(max(high, value)), level, "bootstrap", n)


def _members(groups: Groups | None, n: int) -> list[np.ndarray]:
    """Return the rows of each group; without groups each row is one."""
    if groups is None:
        return list(np.arange(n)[:, None])
    codes = group_codes(groups, n)
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.cumsum(np.bincount(codes))[:-1])


def _kappa(a: np.ndarray, b: np.ndarray) -> Any:
    seen = np.mean(a == b, axis=-1)
    kinds = range(int(max(a.max(), b.max())) + 1)
    chance = sum(np.mean(a == kind, axis=-1) * np.mean(b == kind, axis=-1) for kind in kinds)
    left = 1.0 - np.asarray(chance, dtype=float)
    return np.where(left > 1e-12, (seen - chance) / np.where(left > 1e-12, left, 1.0), np.nan)
