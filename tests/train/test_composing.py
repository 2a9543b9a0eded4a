"""Composing a training set: duplicates out, the better word first, validation by whole groups."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stepdown.ports.trainer import Example
from stepdown.train.composing import digest_of, set_of, thin, without


def example(name: str, answer: str = "yes", **more: object) -> Example:
    return Example(**{"id": name, "input": name, "answer": answer, "group": name, **more})


def one_cluster(*rows: Example) -> dict[str, str]:
    return {row.id: "same" for row in rows}


def test_of_near_duplicates_that_say_the_same_one_is_kept() -> None:
    rows = (example("a"), example("b"), example("c"))
    found = thin(rows, one_cluster(*rows))
    assert [row.id for row in found.kept] == ["a"]
    assert [row.id for row in found.duplicates] == ["b", "c"]


def test_a_correction_wins_over_the_set_and_the_set_over_the_ceiling() -> None:
    rows = (
        example("from the ceiling", "no", source="ceiling"),
        example("from the set", "no", source="set"),
        example("corrected", "yes", source="feedback"),
    )
    found = thin(rows, one_cluster(*rows))
    assert [(row.id, row.answer) for row in found.kept] == [("corrected", "yes")]
    assert {row.id for row in found.outvoted} | {row.id for row in found.duplicates} == {
        "from the ceiling",
        "from the set",
    }


def test_two_of_equal_word_that_contradict_each_other_both_stay() -> None:
    rows = (example("a", "yes"), example("b", "no"))
    assert thin(rows, one_cluster(*rows)).kept == rows


def test_rows_that_are_unlike_all_stay_in_their_order() -> None:
    rows = tuple(example(name) for name in "dbca")
    assert thin(rows, {row.id: row.id for row in rows}).kept == rows


@given(st.lists(st.integers(0, 12), min_size=1, max_size=60))
def test_no_group_stands_on_both_sides_and_no_row_is_lost(groups: list[int]) -> None:
    rows = [example(f"r{at}", group=f"g{group}") for at, group in enumerate(groups)]
    data = set_of(rows)
    inside = {row.group for row in data.train}
    assert inside.isdisjoint(row.group for row in data.validation)
    assert {row.id for row in (*data.train, *data.validation)} == {row.id for row in rows}
    assert data.train


def test_escalated_rows_come_first() -> None:
    rows = [example(f"r{at}", escalated=at % 3 == 0) for at in range(30)]
    hard = [row.escalated for row in set_of(rows).train]
    assert hard == sorted(hard, reverse=True)
    assert any(hard)


def test_the_digest_is_of_the_content_whatever_its_order() -> None:
    rows = [example(f"r{at}") for at in range(30)]
    assert set_of(rows).digest == set_of(rows[::-1]).digest
    assert set_of(rows).digest != set_of(rows[1:]).digest
    assert set_of(rows).digest != set_of([example("r0", "no"), *rows[1:]]).digest


def test_a_set_without_some_rows_has_another_digest_and_keeps_its_validation() -> None:
    data = set_of([example(f"r{at}") for at in range(30)])
    dropped = frozenset([data.train[0].id, data.validation[0].id])
    left = without(data, dropped)
    assert len(left.train) == len(data.train) - 1
    assert left.validation == data.validation
    assert left.digest == digest_of((*left.train, *left.validation)) != data.digest
