"""Rows that were looked at are spent, also when others stand beside them."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelled import TASK, even, on, promised

from stepdown.certify.looks import SKETCH, overlap, rows_digest, sketch
from stepdown.core.lock import Look
from stepdown.core.task import Promise
from stepdown.errors import DataError

WORLD = even(0.97, 0.9)
FLOOR, HIGHER = Promise(floor=0.8), Promise(floor=0.85)


def look(ids: list[str]) -> Look:
    return Look(rows_digest(ids), "2026-11-01", 0.1, "something", len(ids), sketch(ids))


def named(first: int, last: int) -> list[str]:
    return [f"q{i}" for i in range(first, last)]


@given(st.sets(st.integers(0, 300), max_size=120), st.sets(st.integers(0, 300), max_size=120))
def test_of_few_rows_the_share_seen_before_is_exact(old: set[int], new: set[int]) -> None:
    before, now = [f"q{i}" for i in old], [f"q{i}" for i in new]
    exact = len(old & new) / len(new) if new else (1.0 if not old else 0.0)
    assert overlap(look(before), now) == pytest.approx(exact)


@pytest.mark.parametrize("share", [0.05, 0.5, 1.0])
def test_of_many_rows_the_share_seen_before_is_estimated(share: float) -> None:
    old, new = named(0, 20_000), named(round(20_000 * (1 - share)), round(20_000 * (2 - share)))
    assert overlap(look(old), new) == pytest.approx(share, abs=0.1)


def test_fresh_rows_share_nothing() -> None:
    assert overlap(look(named(0, 20_000)), named(20_000, 40_000)) == 0


def test_a_small_part_of_many_rows_that_were_looked_at_was_seen_as_a_whole() -> None:
    assert overlap(look(named(0, 20_000)), named(0, 5_000)) == 1


def test_a_sketch_is_small_whatever_the_number_of_rows() -> None:
    assert len(sketch(named(0, 50_000))) == len(sketch(named(0, SKETCH))) == 2048


def test_a_look_of_an_older_lock_is_compared_as_a_whole() -> None:
    ids = named(0, 50)
    old = Look(rows_digest(ids), "2026-11-01", 0.1, "something")
    assert (overlap(old, ids), overlap(old, [*ids, "one more"])) == (1, 0)


@pytest.mark.parametrize(("added", "said"), [(1, "99"), (100, "50")])
def test_adding_rows_to_those_that_were_looked_at_does_not_make_them_fresh(
    added: int, said: str
) -> None:
    tune, rows = WORLD.draw(40, [1], "t"), WORLD.draw(100 + added, [2], "c")
    looks = on(tune, rows.take(range(100)), FLOOR).locked.guarantee.looks  # type: ignore[arg-type]
    with pytest.raises(DataError, match=rf"{said}[.0-9]*% of the certify rows of 'intent' were"):
        on(tune, rows, HIGHER, looks=looks)


def test_another_look_that_was_asked_for_adds_its_delta_and_says_so() -> None:
    looks = promised(WORLD, FLOOR).locked.guarantee.looks
    stated = promised(WORLD, HIGHER, looks=looks, allow_relook=True).locked.guarantee
    assert stated.delta == pytest.approx(0.2)
    assert any("100% of these rows were tested on 2026-11-22" in s for s in stated.assumptions)


def test_the_same_test_of_the_same_rows_is_no_second_look() -> None:
    first = promised(WORLD, FLOOR)
    again = promised(WORLD, FLOOR, looks=first.locked.guarantee.looks)
    assert again.locked == first.locked


def test_rows_shown_under_thresholds_set_by_hand_may_be_tested_and_that_is_said() -> None:
    by_hand = msgspec.structs.replace(TASK, thresholds={"small": 0.5})
    shown = promised(WORLD, FLOOR, task=by_hand).locked.guarantee.looks
    assert [(one.tested, one.delta, one.n) for one in shown] == [("shown", 0.0, 100)]
    stated = promised(WORLD, FLOOR, looks=shown).locked.guarantee
    assert (stated.state, stated.delta) == ("certified", 0.1)
    assert any("shown on 2026-11-22 under thresholds set by hand" in s for s in stated.assumptions)


def test_rows_that_were_tested_may_be_shown_afterwards() -> None:
    by_hand = msgspec.structs.replace(TASK, thresholds={"small": 0.5})
    looks = promised(WORLD, FLOOR).locked.guarantee.looks
    assert promised(WORLD, FLOOR, task=by_hand, looks=looks).state == "declared"
