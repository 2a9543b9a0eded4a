"""The checks that every function of this room makes on the arrays it is handed."""

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stepdown.errors import DataError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Groups = Sequence[Hashable] | NDArray[np.generic]


def bounded(name: str, values: ArrayLike, low: float, high: float) -> Floats:
    """Return the values as floats; raise DataError when one is outside [low, high] or not a number.

    Rounding errors of 1e-9 at the ends are taken for the end itself.
    """
    array = np.asarray(values, dtype=np.float64)
    wrong = ~((array >= low - 1e-9) & (array <= high + 1e-9))
    if wrong.any():
        first = np.flatnonzero(wrong.ravel())[0]
        raise DataError(
            f"{name}: value {array.ravel()[first]!r} at row {first} is outside {low}..{high}.",
            "An unknown score is left out and counted; it never enters a bound.",
        )
    return np.clip(array, low, high)


def vector(name: str, values: ArrayLike, low: float, high: float) -> Floats:
    """Return bounded values of one dimension."""
    array = bounded(name, values, low, high)
    if array.ndim != 1:
        raise DataError(f"{name}: expected one dimension, got shape {array.shape}.")
    return array


def zero_one(name: str, values: ArrayLike) -> Floats:
    """Return a vector of zeros and ones; raise DataError when another value is in it."""
    array = vector(name, values, 0.0, 1.0)
    if not is_binary(array):
        raise DataError(
            f"{name}: expected only 0 and 1.", "Graded scores need the betting test (graded=True)."
        )
    return array


def is_binary(values: Floats) -> bool:
    """Say whether every value is 0 or 1."""
    return bool(np.all((values == 0.0) | (values == 1.0)))


def is_ternary(values: Floats) -> bool:
    """Say whether every value is -1, 0 or 1."""
    return bool(np.all((values == 0.0) | (np.abs(values) == 1.0)))


def group_codes(groups: Groups, n: int) -> Ints:
    """Return one integer code 0..G-1 per row; raise DataError when the lengths differ."""
    labels = np.asarray(groups)
    if labels.shape != (n,):
        raise DataError(f"groups: expected {n} labels, got shape {labels.shape}.")
    _, codes = np.unique(labels, return_inverse=True)
    return codes.astype(np.int64)


def group_sums(values: Floats, codes: Ints) -> Floats:
    """Return the sum of the values of each group, in the order of the codes."""
    return np.bincount(codes, weights=values).astype(np.float64)


def probability(name: str, value: float) -> float:
    """Return a value strictly between 0 and 1; raise DataError otherwise."""
    if not 0.0 < value < 1.0:
        raise DataError(f"{name} is {value!r}; it must lie strictly between 0 and 1.")
    return float(value)


def counts(successes: int, n: int) -> tuple[int, int]:
    """Return (successes, n); raise DataError unless 0 <= successes <= n."""
    if not 0 <= successes <= n:
        raise DataError(f"{successes} successes of {n} is impossible: 0 <= successes <= n.")
    return int(successes), int(n)
