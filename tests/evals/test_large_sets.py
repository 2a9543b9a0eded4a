"""Sets beyond memory: ids, draws and rosters that do not hold them."""

from __future__ import annotations

import pytest
from eval_fakes import LABEL_TASK, samples
from msgspec.structs import replace

from stepdown.errors import DataError
from stepdown.evals import ids
from stepdown.evals.dataset import iter_samples
from stepdown.evals.ids import Ids
from stepdown.evals.limiting import drawn
from stepdown.evals.roster import roster_of


def rows(names: list[str]) -> list[tuple[int, dict[str, str]]]:
    return [(i, {"id": n, "text": "x", "intent": "refund"}) for i, n in enumerate(names, 1)]


@pytest.mark.parametrize("held", [0, 2, 100])
def test_an_id_that_comes_twice_is_found_wherever_it_was_held(
    monkeypatch: pytest.MonkeyPatch, held: int
) -> None:
    monkeypatch.setattr(ids, "AS_TEXT", held)
    names = ["a", "b", "c", "d", "c", "e"]
    with pytest.raises(DataError, match=r"set\.jsonl, line 5: the id .* was used on line 3"):
        list(iter_samples(LABEL_TASK, rows(names), source="set.jsonl"))
    assert len(list(iter_samples(LABEL_TASK, rows(names[:4]), source="set.jsonl"))) == 4


def test_a_million_ids_take_a_few_bytes_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ids, "AS_TEXT", 0)
    book = Ids()
    for i in range(10_000):
        book.note(f"a rather long name of row {i}", i)
    assert len(book._marks) + book._at.itemsize * len(book._at) == 24 * 10_000
    assert book.twice() is None


def test_a_draw_is_the_same_each_time_and_a_larger_one_keeps_the_smaller() -> None:
    many = samples(200)
    ten, twenty = drawn(many, 10), drawn(many, 20)
    assert ten == drawn(many, 10)
    assert {s.id for s in ten} < {s.id for s in twenty}
    assert list(twenty) == [s for s in many if s in twenty]
    assert drawn(many, None) is many
    assert drawn(many, 500) is many


def test_a_draw_does_not_prefer_the_first_rows() -> None:
    numbers = [int(s.id[1:]) for s in drawn(samples(2000), 200)]
    assert 800 < sum(numbers) / len(numbers) < 1200


def test_a_roster_knows_who_asks_the_same_and_who_belongs_together() -> None:
    four = [*samples(3), replace(samples(1)[0], id="again", reference="other")]
    grouped = [replace(s, group="g" if i < 2 else None) for i, s in enumerate(four)]
    roster = roster_of(grouped)
    assert roster.twins is not None
    assert roster.groups is not None
    assert roster.twins.tolist() == [0, 1, 2, 0]
    assert roster.groups[0] == roster.groups[1] != roster.groups[2] != roster.groups[3]
    assert (roster.n, roster.n_groups) == (4, 3)
    assert roster_of(samples(3)).twins is None
    assert roster_of(samples(3)).groups is None
