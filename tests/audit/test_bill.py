"""The bill: totals computed by hand, equal to the sum of the rows, whatever their order."""

import math
from collections.abc import Iterable
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepdown.audit import AuditReport, Rules, StepBill, audit
from stepdown.core.call_columns import Batch
from stepdown.core.request import Message, Usage
from stepdown.core.usage_log import LoggedCall, Refused
from stepdown.ports.price_book import Rate, Rates

LIST = Rate(
    input=2.0,
    output=10.0,
    cached=0.5,
    basis="list",
    source="a list",
)


class Book:
    def rates(
        self, model: str, *, provider: str | None, day: str | None, processing: str
    ) -> Rates | None:
        return None if model.endswith("secret") else Rates((LIST,))


price_of = Book()


def batch_of(calls: Iterable[LoggedCall], refused: tuple[Refused, ...] = ()) -> Batch:
    return Batch.of(calls, refused)


def run(calls: Iterable[LoggedCall], **options: object) -> AuditReport:
    return audit([batch_of(calls)], price_of, **options)  # type: ignore[arg-type]


def call(number: int, step: str | None = "a", **fields: object) -> LoggedCall:
    told = {"model": "m", "usage": Usage(1000, 100), "step_rule": "flag" if step else None}
    return LoggedCall(id=f"c{number}", step=step, **{**told, **fields})  # type: ignore[arg-type]


def by_name(report: AuditReport) -> dict[str, StepBill]:
    return {step.name: step for step in report.steps}


def test_a_small_log_adds_up_to_the_bill_computed_by_hand() -> None:
    report = run(
        [
            # 1,000 fresh x $2 + 100 x $10 per million = $0.003
            call(1, session="m1", latency_s=1.0),
            # 600 fresh x $2 + 400 cached x $0.50 + 100 x $10 per million = $0.0024
            call(2, session="m2", usage=Usage(1000, 100, 400), latency_s=1.0),
            # reported by the log
            call(3, "b", session="m1", cost_usd=0.0106),
            call(4, "b", session="m1", model="secret", usage=Usage()),
        ]
    )
    steps = by_name(report)
    assert steps["a"].cost.usd == pytest.approx(0.0054, abs=1e-12)
    assert steps["b"].cost.usd == pytest.approx(0.0106, abs=1e-12)
    assert report.cost.usd == pytest.approx(0.016, abs=1e-12)
    assert [step.name for step in report.steps] == ["b", "a"]
    assert steps["a"].share == pytest.approx(0.3375)
    assert steps["a"].usd_per_message == pytest.approx(0.0027)
    assert report.usd_per_message == pytest.approx(0.008)
    assert (report.messages, steps["a"].messages, steps["b"].messages) == (2, 2, 1)
    assert steps["b"].calls_per_message == 2


def test_an_unknown_cost_is_counted_and_never_zero() -> None:
    report = run([call(1), call(2, model="secret"), call(3, model=None)])
    (step,) = report.steps
    assert (step.cost.known, step.cost.unknown) == (1, 2)
    assert step.cost.usd_per_call == pytest.approx(0.003)
    (only,) = run([call(1, model="secret")]).steps
    assert (only.cost.usd, only.share, only.advice.saving) == (None, None, None)


def test_who_says_the_cost_is_counted() -> None:
    report = run([call(1), call(2, cost_usd=0.1), call(3, cost_usd=0.2)])
    assert report.cost.by_basis == {"list": 1, "reported": 2}
    assert report.cost.sources == ("a list", "the log")


def test_unknown_tokens_are_counted_and_stay_out_of_the_sum() -> None:
    (step,) = run([call(1), call(2, usage=Usage(output_tokens=7))]).steps
    assert (step.input_tokens.total, step.input_tokens.known, step.input_tokens.unknown) == (
        1000,
        1,
        1,
    )
    assert step.output_tokens.total == 107
    assert (step.cached_tokens.total, step.cached_tokens.unknown) == (None, 2)


def test_missing_tokens_are_estimated_from_content_and_said_so() -> None:
    said = (Message("system", "abcd"), Message("user", "abcdef"))
    bare = call(1, usage=Usage(), messages=said, answer="xyz")
    (step,) = run([bare, call(2)], estimate=len).steps
    assert (step.input_tokens.total, step.input_tokens.estimated) == (1010, 1)
    assert (step.output_tokens.total, step.output_tokens.estimated) == (103, 1)
    (without,) = run([bare]).steps
    assert (without.input_tokens.total, without.cost.unknown) == (None, 1)


def test_no_latency_is_unknown_and_known_ones_are_within_one_percent() -> None:
    (unknown,) = run([call(1)]).steps
    assert (unknown.latency_p50_s, unknown.latency_p95_s) == (None, None)
    (known,) = run([call(i, latency_s=float(i)) for i in range(1, 102)]).steps
    assert known.latency_p50_s == pytest.approx(51, rel=0.01)
    assert known.latency_p95_s == pytest.approx(96, rel=0.01)


def test_errors_are_counted_and_their_answers_are_no_evidence() -> None:
    said = (Message("user", "x"),)
    calls = [call(i, messages=said, answer="yes") for i in range(40)]
    (step,) = run([*calls, call(99, messages=said, answer="oops", status="error")]).steps
    assert step.errors == 1
    assert step.labels == ("yes",)


def test_refused_rows_are_counted_by_reason_with_the_first_as_example() -> None:
    refused = (Refused("log", 9, "bad (byte 3)"), Refused("log", 2, "bad (byte 7)"))
    other = Refused("log", 5, "worse")
    report = audit([batch_of([call(1)], refused), batch_of([], (other,))], price_of)
    assert [(why, n, row.line) for why, n, row in report.read.refused] == [
        ("bad", 2, 2),
        ("worse", 1, 5),
    ]
    assert report.read.refused_rows == 3


def test_no_calls_at_all_give_an_empty_report() -> None:
    report = run([])
    assert (report.steps, report.calls, report.cost.usd, report.messages) == ((), 0, None, None)


def test_unnamed_calls_are_told_apart_by_their_system_prompt() -> None:
    def asked(number: int, system: str, cost: float) -> LoggedCall:
        said = (Message("system", system), Message("user", f"text {number}"))
        return call(number, None, messages=said, answer="x", cost_usd=cost)

    calls = [asked(i, f"Label the message of order {i}.", 0.1) for i in range(5)]
    calls += [asked(i + 10, "Draft a reply.", 0.2) for i in range(5)]
    report = run([*calls, call(99, None)])
    steps = by_name(report)
    assert (steps["step-1"].calls, steps["step-2"].calls, steps["unnamed"].calls) == (5, 5, 1)
    assert steps["step-1"].cost.usd == pytest.approx(1.0)
    assert report.read.unnamed == 1
    assert report.read.named_by == (("cluster", 10),)


def test_a_place_with_many_values_in_a_system_prompt_is_a_variable() -> None:
    people = [f"{first}{second}" for first in "ABCDE" for second in ("nn", "lf", "my", "da")]
    text = "You are the patient and polite assistant of the shop and you now help {} with an order"
    calls = [
        call(i, None, messages=(Message("system", text.format(name)), Message("user", "x")))
        for i, name in enumerate(people)
    ]
    assert [step.calls for step in run(calls).steps] == [20]


def test_two_prompts_that_differ_in_one_word_stay_two_steps() -> None:
    text = "Read the message of the customer below and answer with one word, its {}, in lower case."
    calls = [
        call(i, None, messages=(Message("system", text.format(what)), Message("user", "x")))
        for i, what in enumerate(["intent", "urgency"] * 10)
    ]
    assert sorted(step.calls for step in run(calls).steps) == [10, 10]


def test_steps_beyond_the_limit_share_one_place_and_lose_no_call() -> None:
    rules = Rules(most_steps=3)
    report = run([call(i, f"s{i}") for i in range(10)], rules=rules)
    assert sum(step.calls for step in report.steps) == report.calls == 10
    assert len(report.steps) == 4


USAGES = st.builds(
    Usage,
    input_tokens=st.none() | st.integers(0, 50_000),
    output_tokens=st.none() | st.integers(0, 5_000),
)
CALLS = st.lists(
    st.builds(
        LoggedCall,
        id=st.uuids().map(str),
        model=st.sampled_from(["m", "n", "secret", None]),
        step=st.sampled_from(["a", "b", None]),
        session=st.sampled_from(["m1", "m2", "m3", None]),
        messages=st.none()
        | st.sampled_from(["label it", "draft it"]).map(
            lambda text: (Message("system", text), Message("user", "x"))
        ),
        answer=st.none() | st.sampled_from(["yes", "no", "a longer answer"]),
        usage=USAGES,
        latency_s=st.none() | st.floats(0, 100),
        cost_usd=st.none() | st.floats(0, 2).map(lambda usd: round(usd, 9)),
        status=st.sampled_from(["ok", "error"]),
    ),
    max_size=40,
)


@given(CALLS)
@settings(max_examples=150, deadline=None)
def test_totals_equal_the_sum_over_the_rows(calls: list[LoggedCall]) -> None:
    report = run(calls)
    known = [usd for row in calls if (usd := cost_by_hand(row)) is not None]
    assert report.calls == len(calls) == sum(step.calls for step in report.steps)
    assert report.cost.unknown == len(calls) - len(known)
    assert math.isclose(report.cost.usd or 0.0, math.fsum(known), abs_tol=1e-9)
    assert sum(step.share or 0.0 for step in report.steps) == pytest.approx(
        1.0 if report.cost.usd else 0.0
    )
    told = [row.usage.input_tokens for row in calls if row.usage.input_tokens is not None]
    assert (report.input_tokens.total or 0) == sum(told)
    assert report.input_tokens.known == len(told)


@given(CALLS, st.randoms(use_true_random=False), st.integers(1, 7))
@settings(max_examples=100, deadline=None)
def test_the_report_does_not_depend_on_order_or_batches(
    calls: list[LoggedCall], random: Random, size: int
) -> None:
    shuffled = list(calls)
    random.shuffle(shuffled)
    batches = [batch_of(shuffled[i : i + size]) for i in range(0, len(shuffled), size)]
    again = audit(batches, price_of)
    assert msgspec.json.encode(again) == msgspec.json.encode(run(calls))


def cost_by_hand(row: LoggedCall) -> float | None:
    if row.cost_usd is not None:
        return row.cost_usd
    usage = row.usage
    if row.model in (None, "secret") or usage.input_tokens is None or usage.output_tokens is None:
        return None
    return (usage.input_tokens * 2.0 + usage.output_tokens * 10.0) / 1e6
