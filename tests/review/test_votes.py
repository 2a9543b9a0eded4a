"""Who votes, and on which day: floods, clocks that jump, gaps."""

from __future__ import annotations

from stepdown.review.seen import FirstCall
from stepdown.review.votes import values_by_day, votes_of

NOW = "2026-11-30T12:00:00.000+00:00"


def call(name: str, day: int, group: str | None = None, sure: float | None = 0.5) -> FirstCall:
    at = f"2026-11-{day:02d}T10:00:00.000+00:00"
    return FirstCall(trace_id=name, at=at, group=group or name, confidence=sure)


def test_one_caller_has_one_vote_a_day() -> None:
    flood = [call(f"f{i}", 20, "session-1") for i in range(300)]
    found = votes_of([*flood, call("a", 20), call("b", 21, "session-1")], NOW)
    assert [(day, len(records)) for day, records in found.days] == [
        ("2026-11-20", 2),
        ("2026-11-21", 1),
    ]
    assert found.repeated == 299
    assert found.flood is not None
    assert found.flood > 0.99


def test_many_callers_are_no_flood() -> None:
    assert votes_of([call(f"r{i}", 20) for i in range(300)], NOW).flood is None


def test_records_dated_after_now_wait() -> None:
    found = votes_of([call("a", 20), call("b", 30)], "2026-11-20T12:00:00+00:00")
    assert (found.n, found.ahead) == (1, 1)


def test_a_clock_that_goes_back_moves_no_day_back() -> None:
    found = votes_of([call("a", 22), call("b", 20), call("c", 23)], NOW)
    assert [day for day, _ in found.days] == ["2026-11-22", "2026-11-23"]
    assert found.turned_back == 1


def test_unknown_values_do_not_vote_and_their_day_stays() -> None:
    [(day, values)] = values_by_day(
        votes_of([call("a", 20), call("b", 20, sure=None)], NOW),
        lambda one: getattr(one, "confidence", None),
    )
    assert values == [0.5]
    assert day > 0


def test_an_hour_of_a_tally_is_a_time_too() -> None:
    one = FirstCall(trace_id="t", at="2026-11-20T10", group="t")
    assert votes_of([one], NOW).n == 1
