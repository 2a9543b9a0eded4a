"""Choosing rows: no twins, nothing trained on, the same sample each time, in proportion."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepdown.evals.candidates import Candidate, TurnedDown
from stepdown.evals.choosing import (
    EXACT,
    LEAK,
    NEAR,
    NOT_DRAWN,
    OTHERWISE,
    SAME_ID,
    TAKEN,
    Asked,
    Chosen,
    Ints,
    choose,
)
from stepdown.evals.drawing import quotas
from stepdown.evals.survey import Survey
from stepdown.evals.twins import first_of

LONG = "the parcel with my new kettle has not arrived although it was due on monday last week and"


def rows(*said: tuple[str, str], ids: bool = False) -> list[Candidate]:
    return [
        Candidate(source="f", line=n, text=text, reference=reference, id=f"i{n}" if ids else None)
        for n, (text, reference) in enumerate(said, 1)
    ]


def made(n: int, seed: int = 1) -> list[Candidate]:
    """Return rows of made-up words, none like another; one label in ten is rare."""
    rng = random.Random(seed)
    words = ["".join(rng.choices("bcdfgklmnprstaeiou", k=6)) for _ in range(900)]
    return rows(*((" ".join(rng.sample(words, 9)), "rare" if i % 10 == 0 else "usual")
                  for i in range(n)))  # fmt: skip


def chosen(
    candidates: Sequence[Candidate],
    training: Sequence[tuple[str, str]] = (),
    by: str | None = "label",
    **asked: object,
) -> Chosen:
    survey = Survey(by)
    survey.add_all(candidates)

    def texts(wanted: Ints) -> list[str]:
        return [candidates[i].text for i in wanted]

    return choose(survey, Asked(structured=True, **asked), texts, training)  # type: ignore[arg-type]


def test_equal_texts_are_told_apart_by_their_references() -> None:
    found = chosen(
        rows(("Hello  there", "a"), ("hello there", "a"), ("HELLO THERE", "b"), ("x", "a"))
    )
    assert found.fate.tolist() == [TAKEN, EXACT, OTHERWISE, TAKEN]
    assert found.twin.tolist() == [-1, 0, 0, -1]


def test_numbers_make_a_difference_between_rows() -> None:
    found = chosen(rows(("what is 2 + 2?", "math"), ("what is 3 + 5?", "math")))
    assert found.fate.tolist() == [TAKEN, TAKEN]


def test_a_near_duplicate_goes_unless_it_has_another_label() -> None:
    more = f"{LONG} nobody answers my letters"
    found = chosen(
        rows(
            (more, "late"), (f"{more}!", "late"), (more + " now", "late"), (more + " yes", "angry")
        )
    )
    assert found.fate.tolist() == [TAKEN, NEAR, NEAR, TAKEN]
    assert found.twin.tolist()[1:3] == [0, 0]


def test_asked_to_keep_duplicates_all_are_kept_but_ids_stay_unique() -> None:
    said = [("same", "a"), ("same", "a"), ("other", "b")]
    assert chosen(rows(*said), duplicates="keep").count(TAKEN) == 3
    twice = [
        Candidate(source="f", line=n, text=t, reference=r, id="x") for n, (t, r) in enumerate(said)
    ]
    assert chosen(twice, duplicates="keep").fate.tolist() == [TAKEN, SAME_ID, SAME_ID]


def test_a_row_like_a_training_row_is_refused_and_both_are_named() -> None:
    trained = [("train, line 4", f"{LONG} nobody answers my 2 letters"), ("train, line 5", "other")]
    candidates = rows((f"{LONG} nobody answers my 3 letters", "late"), ("fresh words here", "late"))
    found = chosen(candidates, trained)
    assert found.fate.tolist() == [LEAK, TAKEN]
    (leak,) = found.leaks
    assert (leak.row, leak.where, leak.near) == (0, "train, line 4", 1.0)
    assert chosen(candidates, trained, allow_leaks=True).fate.tolist() == [TAKEN, TAKEN]


def test_when_there_are_too_many_rows_to_compare_equal_ones_are_still_found() -> None:
    candidates = [*made(50), *rows((made(50)[3].text.upper(), "usual"), (made(50)[9].text, "rare"))]
    found = chosen(candidates, [("t", made(50)[7].text)], near_most=10)
    assert found.near_compared == 0
    assert Counter(found.fate.tolist()) == {TAKEN: 49, EXACT: 1, OTHERWISE: 1, LEAK: 1}


def test_a_sample_of_many_rows_is_compared_even_when_the_whole_cannot_be() -> None:
    candidates = made(900)
    twins = [*candidates, *rows(*((f"{one.text}!", one.reference) for one in candidates))]
    found = chosen(twins, sample=60, near_most=400)
    kept = [twins[i].text.rstrip("!") for i in found.taken]
    assert len(kept) == len(set(kept)) == 60


def test_the_sample_is_the_same_whatever_the_order_of_the_rows() -> None:
    candidates = made(300)
    shuffled = random.Random(5).sample(candidates, 300)
    one = {candidates[i].text for i in chosen(candidates, sample=40).taken}
    other = {shuffled[i].text for i in chosen(shuffled, sample=40).taken}
    assert one == other
    assert len(one) == 40


def test_strata_keep_their_shares_and_what_is_not_drawn_is_counted() -> None:
    candidates = made(300)
    found = chosen(candidates, sample=40)
    assert Counter(candidates[i].reference for i in found.taken) == {"usual": 36, "rare": 4}
    assert found.count(NOT_DRAWN) == 260


def test_rows_that_were_turned_down_are_counted_with_their_first_example() -> None:
    survey = Survey()
    bad = [TurnedDown(source="f", line=n, kind="no input", why="empty") for n in (3, 7)]
    survey.add_all([*bad, *rows(("x", "a"))])
    assert survey.turned == {"no input": 2}
    assert survey.examples["no input"].line == 3
    assert len(survey) == 1


@given(st.lists(st.integers(0, 60), min_size=1, max_size=9), st.integers(0, 200))
def test_quotas_add_up_never_exceed_their_stratum_and_forget_no_stratum(
    sizes: list[int], n: int
) -> None:
    given_ = quotas(sizes, n)
    assert sum(given_) == min(n, sum(sizes))
    assert all(0 <= quota <= size for quota, size in zip(given_, sizes, strict=True))
    if n >= sum(size > 0 for size in sizes):
        assert all(quota for quota, size in zip(given_, sizes, strict=True) if size)


@pytest.mark.parametrize("n", [0, 1, 1000])
def test_the_first_of_equal_keys_is_found_as_by_hand(n: int) -> None:
    keys = np.random.default_rng(n).integers(0, 50, n).astype(np.uint64)
    seen: dict[int, int] = {}
    assert first_of(keys).tolist() == [seen.setdefault(int(k), i) for i, k in enumerate(keys)]


def test_references_that_are_all_different_are_no_strata() -> None:
    candidates = rows(*((one.text, f"answer {n}") for n, one in enumerate(made(200))))
    found = chosen(candidates, sample=20)
    assert not found.stratified
    assert found.count(TAKEN) == 20
    assert max(found.taken) > 100, "not the first rows of the file"


def test_so_many_names_of_strata_that_they_are_none_stay_few_in_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stepdown.evals.survey.MOST_STRATA", 10)
    survey = Survey("label")
    survey.add_all(rows(*((f"text {n}", f"answer {n}") for n in range(50))))
    assert len(survey.strata) == 10
    assert survey.strata_for(40) is None
