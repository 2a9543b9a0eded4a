"""What people said of answers, and the scores that follow."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepdown.core.judgement import Judgement, answers_to_judge, judged, settle
from stepdown.core.outcome import Outcome


def say(
    by: str, right: tuple[str, ...] = (), wrong: tuple[str, ...] = (), **more: bool
) -> Judgement:
    return Judgement(query_id="q", by=by, at="2026-11-22", right=right, wrong=wrong, **more)


def rows(**answers: str | None) -> list[Outcome]:
    return [Outcome(query_id="q", tier=tier, answer=said) for tier, said in answers.items()]


def scores(outcomes: list[Outcome]) -> dict[str, float | None]:
    return {one.tier: one.score for one in outcomes}


def test_an_unlabelled_disagreement_counts_as_full_loss_and_an_equal_answer_as_none() -> None:
    done = judged(rows(small="Yes", mid="no", big=" no. "), "big", {})
    assert scores(done) == {"small": 0.0, "mid": 1.0, "big": 1.0}


def test_a_judged_answer_scores_what_people_said() -> None:
    done = judged(rows(small="yes", big="no"), "big", {"q": {"yes": True, "no": False}})
    assert scores(done) == {"small": 1.0, "big": 0.0}


def test_equal_answers_score_alike_even_when_they_were_judged_wrong() -> None:
    done = judged(rows(small="no", big="no"), "big", {"q": {"no": False}})
    assert scores(done) == {"small": 0.0, "big": 0.0}


def test_an_answer_that_failed_is_never_right_and_a_missing_one_is_unknown() -> None:
    broken = Outcome(query_id="q", tier="small", answer="no", failure="truncated")
    away = Outcome(query_id="q", tier="mid", failure="unavailable")
    done = judged([broken, away, *rows(big="no")], "big", {})
    assert scores(done) == {"small": 0.0, "mid": None, "big": 1.0}


@given(st.dictionaries(st.sampled_from("abc"), st.booleans()), st.sampled_from("abc"))
def test_more_labels_never_make_the_loss_larger_than_it_was_at_worst(
    truth: dict[str, bool], ceiling: str
) -> None:
    table = rows(small="a", mid="b", big=ceiling)
    full = {key: truth.get(key, False) for key in "abc"}
    at_worst, known = (scores(judged(table, "big", v)) for v in ({}, {"q": full}))
    for tier in ("small", "mid"):
        assert known["big"] - known[tier] <= at_worst["big"] - at_worst[tier]  # type: ignore[operator]


def test_a_later_judgement_by_the_same_person_replaces_the_earlier() -> None:
    done = settle([say("ann", ("a",)), say("ann", ("b",), ("a",))])
    assert done.verdicts == {"q": {"b": True, "a": False}}


def test_a_judgement_that_was_taken_back_counts_for_nothing() -> None:
    assert settle([say("ann", ("a",)), say("ann")]).verdicts == {}


def test_two_people_who_disagree_leave_the_query_unlabelled_until_one_resolves_it() -> None:
    said = [say("ann", ("a",), ("b",)), say("bob", ("b",), ("a",))]
    assert settle(said).disputed == ("q",)
    assert settle(said).verdicts == {}
    assert settle([*said, say("cy", ("b",), ("a",), resolves=True)]).verdicts["q"]["b"]


def test_the_resolution_that_was_said_last_holds() -> None:
    said = [
        say("ann", ("a",), ("b",)),
        say("bob", ("b",), ("a",), resolves=True),
        say("ann", ("a",), ("b",), resolves=True),
    ]
    assert settle(said).verdicts["q"] == {"a": True, "b": False}


def test_people_who_spoke_of_different_answers_do_not_disagree() -> None:
    assert settle([say("ann", ("a",)), say("bob", (), ("b",))]).verdicts["q"] == {
        "a": True,
        "b": False,
    }


def test_answers_that_count_as_the_same_are_judged_once() -> None:
    shown = answers_to_judge(rows(small="Refund", mid=" refund", big="delivery"))
    assert list(shown.values()) == ["Refund", "delivery"]


def test_an_answer_cannot_be_right_and_wrong() -> None:
    with pytest.raises(ValueError, match="both right and wrong"):
        say("ann", ("a",), ("a",))
