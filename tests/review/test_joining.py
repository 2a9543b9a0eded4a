"""What people said of audited answers: the last word counts, contradictions cancel."""

from __future__ import annotations

from stepdown.review.joining import joined
from stepdown.review.seen import Audit, Said

AT = "2026-11-20T10:00:00+00:00"


def audit(name: str, loss: float | None = 1.0, kept: str | None = "spam") -> Audit:
    return Audit(trace_id=name, at=AT, group=name, propensity=0.1, loss=loss, kept=kept)


def said(name: str, by: str = "anna", score: float | None = None, label: str | None = None) -> Said:
    return Said(trace_id=name, at=AT, by=by, score=score, label=label)


def test_a_person_who_says_that_the_kept_answer_is_right_takes_its_loss_away() -> None:
    found = joined([audit("a")], [said("a", label="spam")])
    assert [one.loss for one in found.audits] == [0.0]
    assert found.joined == 1


def test_a_person_cannot_make_an_answer_that_equals_the_ceilings_lose() -> None:
    found = joined([audit("a", 0.0)], [said("a", label="refund")])
    assert [one.loss for one in found.audits] == [0.0]


def test_the_last_word_of_one_person_counts() -> None:
    found = joined([audit("a")], [said("a", score=0.0), said("a", score=1.0)])
    assert [one.loss for one in found.audits] == [0.0]
    assert (found.replaced, found.conflicts) == (1, ())


def test_people_who_contradict_each_other_cancel_the_audit_and_it_is_named() -> None:
    words = [said("a", "anna", label="spam"), said("a", "ben", label="refund")]
    found = joined([audit("a"), audit("b")], words)
    assert [one.trace_id for one in found.audits] == ["b"]
    assert found.conflicts == ("a",)


def test_scores_far_apart_contradict_each_other_and_near_ones_do_not() -> None:
    near = [said("a", "anna", score=0.8), said("a", "ben", score=0.6)]
    assert joined([audit("a")], near).conflicts == ()
    far = [said("a", "anna", score=1.0), said("a", "ben", score=0.0)]
    assert joined([audit("a")], far).conflicts == ("a",)


def test_a_label_without_the_answers_text_says_nothing_of_the_loss() -> None:
    found = joined([audit("a", kept=None)], [said("a", label="spam")])
    assert [one.loss for one in found.audits] == [1.0]
    assert found.joined == 0


def test_what_was_not_audited_stays_unknown() -> None:
    found = joined([audit("a", None)], [said("a", score=0.0)])
    assert [one.loss for one in found.audits] == [None]
