"""What a certificate remembers of its rows, for alarms to compare with."""

from __future__ import annotations

import numpy as np
import pytest

from stepdown.certify.watched import FEWEST, watched
from stepdown.core.outcome import Outcome
from stepdown.core.policy import cascade
from stepdown.core.replay_array import panel, replay_array

TIERS = ("tiny", "small", "big")


def rows(n: int = 60) -> list[Outcome]:
    """Row i: confidences rise with i, small says x on every third row, big always y."""
    return [row(i, n, tier) for i in range(n) for tier in TIERS]


def row(i: int, n: int, tier: str) -> Outcome:
    said = "x" if tier == "small" and i % 3 == 0 else "y"
    return Outcome(
        query_id=f"q{i:03d}",
        tier=tier,
        score=float(said == "y"),
        answer=said,
        signals={} if tier == "big" else {"confidence": i / n},
    )


def test_kept_answers_are_counted_against_the_ceilings() -> None:
    table = panel(rows())
    found = watched(table, replay_array(cascade(("small", "big"), (0.5,)), table), "big")
    assert found is not None
    assert (found.n, found.by_ceiling, found.compared) == (60, 30, 30)
    assert (found.differed, found.tier) == (10, "small")
    marks = found.signals["confidence"]
    assert marks.n == 60
    assert marks.below[2] == pytest.approx(30, abs=1)


def test_two_tiers_below_the_ceiling_are_compared_where_both_answered() -> None:
    table = panel(rows())
    found = watched(table, replay_array(cascade(TIERS, (2.0, 0.5)), table), "big")
    assert found is not None
    assert (found.paired, found.unlike) == (60, 20)


def test_the_ceiling_alone_leaves_nothing_to_watch() -> None:
    table = panel(rows())
    found = watched(table, replay_array(cascade(("big",), ()), table), "big")
    assert found is not None
    assert (found.tier, found.signals, found.compared) == ("", {}, 0)


def test_too_few_values_mark_nothing() -> None:
    table = panel(rows(FEWEST - 1))
    found = watched(table, replay_array(cascade(("small", "big"), (0.5,)), table), "big")
    assert found is not None
    assert found.signals == {}


def test_no_row_says_nothing() -> None:
    table = panel(rows(3)).take(np.arange(0))
    assert watched(table, replay_array(cascade(("small", "big"), (0.5,)), table), "big") is None
