"""Rows for many policies at once, against the exact plan for one."""

import numpy as np
import pytest

from stepdown.errors import DataError
from stepdown.stats.label_curve import rows_for_each
from stepdown.stats.power import labels_needed


def test_the_curve_is_near_the_exact_plan() -> None:
    rates = [(0.02, 0.04), (0.03, 0.03), (0.05, 0.03)]
    minus, plus = np.array(rates).T
    about = rows_for_each(minus, plus, 0.05, 0.1)
    exact = [labels_needed(low, high, 0.05, 0.1).rows for low, high in rates]
    assert about.tolist() == [pytest.approx(rows, rel=0.2) for rows in exact]


def test_a_policy_that_loses_all_that_is_allowed_needs_more_than_any_number() -> None:
    found = rows_for_each([0.06, 0.0], [0.01, 0.0], 0.05, 0.1)
    assert np.isnan(found[0])
    assert found[1] < 60


def test_a_promise_too_strict_for_the_most_rows_gives_no_number() -> None:
    assert np.isnan(rows_for_each([0.0], [0.0], 0.001, 0.1, most=500)).all()


def test_rates_that_are_no_rates_are_refused() -> None:
    with pytest.raises(DataError, match="as many of each"):
        rows_for_each([0.1], [0.1, 0.2], 0.05, 0.1)
