"""What saves without another model, a month from a period, the bill by independent arithmetic."""

import math
from datetime import date
from fractions import Fraction

import pytest

from stepdown.adapters.prices.book import Book
from stepdown.audit import AuditReport, audit
from stepdown.core.call_columns import Batch
from stepdown.core.request import Message, Usage
from stepdown.core.usage_log import LoggedCall

AT = "2026-11-{day:02}T{hour:02}:{minute:02}:00Z"


def run(calls: list[LoggedCall]) -> AuditReport:
    return audit([Batch.of(calls)], Book(date(2026, 11, 28)))


def call(number: int, said: str, **fields: object) -> LoggedCall:
    told: dict[str, object] = {
        "model": "gpt-4.1",
        "provider": "openai",
        "step": "a",
        "messages": (Message("user", said),),
        "answer": "fine",
        "usage": Usage(1000, 100),
    }
    return LoggedCall(id=f"c{number}", **{**told, **fields})  # type: ignore[arg-type]


def kinds(report: AuditReport) -> dict[str, float | None]:
    return {measure.kind: measure.high_usd for measure in report.measures}


def test_requests_asked_again_are_counted_with_what_they_cost() -> None:
    report = run([call(i, f"text {i % 4}") for i in range(10)])
    (measure,) = report.measures
    # $2 and $8 a million tokens: 1,000 and 100 cost $0.0028; six of ten are repeats
    assert (measure.kind, measure.calls) == ("duplicates", 6)
    assert measure.high_usd == pytest.approx(6 * 0.0028)


def test_a_request_sent_again_after_it_failed_is_a_retry_and_no_duplicate() -> None:
    report = run([call(1, "x", status="error"), call(2, "x")])
    assert report.steps[0].retries == 1
    assert "duplicates" not in kinds(report)


def test_a_long_prompt_that_comes_again_soon_could_be_cached() -> None:
    system = Message("system", "word " * 2000)
    said = lambda i: (system, Message("user", f"text {i}"))  # noqa: E731
    near = [call(i, "", messages=said(i), at=AT.format(day=1, hour=1, minute=1)) for i in range(10)]
    apart = [
        call(i, "", messages=said(i), at=AT.format(day=1, hour=i, minute=1)) for i in range(10)
    ]
    # 10,000 letters are 2,500 tokens; nine repeats save $2 - $0.5 a million tokens
    assert kinds(run(near))["caching"] == pytest.approx(9 * 2500 * 1.5e-6)
    assert "caching" not in kinds(run(apart))


def test_a_log_of_less_than_a_day_tells_no_month() -> None:
    hours = run([call(i, f"{i}", at=AT.format(day=1, hour=i, minute=0)) for i in range(5)])
    assert hours.month_factor is None
    assert "4.0 hours" in hours.month_method
    days = run([call(i, f"{i}", at=AT.format(day=1 + i, hour=0, minute=0)) for i in range(11)])
    assert days.month_factor == pytest.approx(365.25 / 12 / 10)


def test_the_bill_of_a_month_is_the_sum_by_hand() -> None:
    """By the list, gpt-4.1 is $2, cached $0.50, out $8; batch halves what goes in and out."""
    by_hand, calls = Fraction(0), []
    for i in range(3000):
        read, wrote, cached = 500 + i % 700, 20 + i % 90, (i % 3) * 100
        batch = i % 5 == 0
        usd = Fraction(2 * (read - cached) + 8 * wrote, 10**6)
        by_hand += (usd / 2 if batch else usd) + Fraction(cached, 2 * 10**6)
        calls.append(
            call(
                i,
                f"{i}",
                usage=Usage(read, wrote, cached),
                at=AT.format(day=1 + i % 28, hour=i % 24, minute=i % 60),
                processing="batch" if batch else "standard",
            )
        )
    usd = run(calls).cost.usd
    assert usd is not None
    assert math.isclose(usd, float(by_hand), rel_tol=0.001)
