"""The scale of one axis: its range and the round numbers marked on it. Knows no pixels."""

import math
from collections.abc import Iterator, Sequence

from msgspec import Struct

from stepdown.adapters.render.figures import tick
from stepdown.core.report import Unit

LARGEST = 1e15
SMALLEST_LOG = 1e-12
_SAME = 1e-9  # relative: closer values cannot be told apart on paper


class Axis(Struct, frozen=True):
    """A range, and marks as (value, text)."""

    low: float
    high: float
    marks: tuple[tuple[float, str], ...]
    log: bool = False

    def at(self, value: float) -> float:
        """Return where `value` lies between the ends, 0..1."""
        if self.log:
            span = math.log(self.high) - math.log(self.low)
            return (math.log(max(value, self.low)) - math.log(self.low)) / span
        return (value - self.low) / (self.high - self.low)


def drawable(value: float | None) -> bool:
    """Say whether a number can stand on an axis: finite, and not absurdly large."""
    return value is not None and math.isfinite(value) and abs(value) <= LARGEST


def linear_axis(values: Sequence[float], unit: Unit, most: int) -> Axis:
    """Return an axis with about `most` marks on round numbers around `values` (not empty)."""
    low, high = _spread(min(values), max(values), unit)
    step = _round_step((high - low) / most)
    first, last = math.floor(low / step + _SAME), math.ceil(high / step - _SAME)
    marks = [float(f"{number * step:.12g}") for number in range(first, last + 1)]
    reference = max(abs(marks[0]), abs(marks[-1]))
    texts = [tick(mark, unit, step, reference) for mark in marks]
    return Axis(marks[0], marks[-1], tuple(zip(marks, texts, strict=True)))


def log_axis(values: Sequence[float], unit: Unit, most: int) -> Axis:
    """Return a logarithmic axis around positive `values` (not empty)."""
    low, high = min(values), max(values)
    first, last = math.floor(math.log10(low) + _SAME), math.ceil(math.log10(high) - _SAME)
    fine = _within(low, high, [(d, k) for k in range(first - 1, last + 2) for d in (1, 2, 5)])
    marks = next(found for found in _coarser(fine, most) if len(found) <= most)
    texts = tuple((mark, tick(mark, unit, step, mark)) for mark, step in marks)
    return Axis(fine[0][0], fine[-1][0], texts, log=True)


def _coarser(fine: Sequence[tuple[float, float]], most: int) -> Iterator[list[tuple[float, float]]]:
    """Yield fewer and fewer of the marks: all, the 1s and 5s, the powers of ten, some of them."""
    yield list(fine)
    powers = [(mark, step) for mark, step in fine if mark == step]
    if len(powers) < 2:
        yield [fine[0], fine[-1]]
    yield [(mark, step) for mark, step in fine if round(mark / step) != 2]
    yield powers
    yield powers[:: math.ceil(len(powers) / most)]


def _within(low: float, high: float, steps: Sequence[tuple[int, int]]) -> list[tuple[float, float]]:
    """Return the marks from the last one at or below `low` to the first at or above `high`."""
    marks = [(float(f"{d}e{k}"), float(f"1e{k}")) for d, k in steps]
    start = max(i for i, (mark, _) in enumerate(marks) if mark <= low * (1 + _SAME))
    stop = min(i for i, (mark, _) in enumerate(marks) if mark >= high * (1 - _SAME))
    start, stop = (start, stop) if stop > start else (start - 1, start + 1)
    return marks[start : stop + 1]


def _spread(low: float, high: float, unit: Unit) -> tuple[float, float]:
    """Return a range that is not empty; shares and scores within 0..1 stay there."""
    size = max(abs(low), abs(high))
    if high - low > max(size * _SAME, SMALLEST_LOG):
        return low, high
    half = size / 10 if size > SMALLEST_LOG else 0.5
    if unit in ("share", "score") and 0 <= low <= high <= 1:
        return max(0.0, low - half), min(1.0, high + half)
    return low - half, high + half


def _round_step(rough: float) -> float:
    """Return the next of 1, 2, 5 times a power of ten at or above `rough`."""
    power = math.floor(math.log10(rough))
    wanted = next(d for d in (1, 2, 5, 10) if d * 10.0**power >= rough * (1 - _SAME))
    return float(f"{wanted}e{power}")
