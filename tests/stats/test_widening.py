"""Widening: false alarms stay under delta however often somebody looks; the forecast is honest."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from stepdown.stats.widening import is_shown, widening

DELTA = 0.1


def test_whoever_looks_every_day_is_misled_no_more_often_than_delta() -> None:
    """Agreement is exactly the target, the hardest case: each pass at any look is an error."""
    rng = np.random.default_rng(20261129)
    streams, looks = 300, range(20, 601, 20)
    wrong = 0
    for _ in range(streams):
        rows = rng.random(600) < 0.95
        wrong += any(is_shown(rows[:n].astype(float), 0.95, DELTA) for n in looks)
    assert binomtest(wrong, streams, DELTA, alternative="greater").pvalue > 0.001, wrong


def test_agreement_well_above_the_target_is_shown() -> None:
    rng = np.random.default_rng(7)
    streams = (rng.random((50, 600)) < 0.995).astype(float)
    passed = [is_shown(rows, 0.95, DELTA) for rows in streams]
    assert sum(passed) >= 45


def test_the_forecast_is_what_it_takes_at_that_agreement() -> None:
    rows = ([True] * 49 + [False]) * 2
    found = widening(rows, 0.95, DELTA)
    assert found.more is not None
    assert not found.is_enough
    more = ([True] * 49 + [False]) * (found.more // 50 + 1)
    assert widening([*rows, *more], 0.95, DELTA).is_enough


def test_at_or_under_the_target_nothing_is_in_sight() -> None:
    assert widening([True, False] * 50, 0.95, DELTA).more is None
    assert widening(([True] * 19 + [False]) * 5, 0.95, DELTA).more is None


def test_before_the_first_row_it_asks_for_rows_that_all_agree() -> None:
    found = widening([], 0.97, DELTA)
    assert (found.n, found.bound) == (0, 0.0)
    assert found.more is not None
    assert widening([True] * found.more, 0.97, DELTA).is_enough


@pytest.mark.parametrize("n", [1, 10, 400])
def test_the_bound_lies_under_what_was_seen(n: int) -> None:
    found = widening([True] * n, 0.9, DELTA)
    assert 0.0 <= found.bound < 1.0
