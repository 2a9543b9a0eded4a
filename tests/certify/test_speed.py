"""Certification of many rows takes seconds, and little memory."""

import time

import pytest
from labelled import Labelled, promised

from stepdown.core.task import Promise

MANY = Labelled({"small": {"": 0.9}, "big": {"": 0.95}}, signals=True)


@pytest.mark.slow
@pytest.mark.parametrize("promise", [Promise(max_loss=0.02), Promise(floor=0.85)])
def test_a_hundred_thousand_rows_are_certified_in_seconds(promise: Promise) -> None:
    begun = time.process_time()
    done = promised(MANY, promise, 50_000, n_tune=50_000)
    assert time.process_time() - begun < 20
    assert done.state == "certified"


def test_planning_a_strict_promise_takes_no_tens_of_seconds() -> None:
    even = Labelled({"small": {"": 0.9995}, "big": {"": 0.9995}})
    begun = time.process_time()
    done = promised(even, Promise(max_loss=0.001), 60, n_tune=2000)
    assert time.process_time() - begun < 8
    assert (done.locked.guarantee.labels_needed or 0) > 500
