"""Signals are bought live, paid for and booked; what fails is unknown and the policy goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from msgspec.structs import replace
from serve_fakes import ABLE, BY_THE_SECOND, FakeModel

from stepdown.core.asked import Asked
from stepdown.core.bought import Bought
from stepdown.core.derived import Linear
from stepdown.core.policy import Action, Clause, Policy, Row, cascade
from stepdown.core.request import Completion, Message, Request, Tool
from stepdown.core.task import Task
from stepdown.core.tier import Tier
from stepdown.errors import ModelError, Overloaded, Unavailable
from stepdown.serve.cascade import Outcome, run
from stepdown.serve.step import Step

VOTE = Bought(kind="vote", tier="small", samples=4)
JUDGE = Bought(kind="judge", tier="mid", of="small")
TASK = Task(
    name="intent",
    kind="classify",
    tiers=("small", "mid", "big"),
    labels=("refund", "spam"),
    signals={"sure": VOTE},
)
POLICY = Policy(
    tiers=("small", "mid", "big"),
    rows=(
        Row(called=(), otherwise=Action("call", "small"), reason="entry"),
        Row(called=("small",), otherwise=Action("buy", "sure"), reason="second_look"),
        Row(
            called=("small", "?sure"),
            when=(Clause("sure", 0.7, Action("accept", "small")),),
            otherwise=Action("call", "big"),
        ),
        Row(called=("small", "?sure", "big"), otherwise=Action("accept", "big"), reason="last"),
    ),
)


def said(text: str, latency_s: float = 0.25) -> Completion:
    return Completion(text=text, latency_s=latency_s)


class Voter(FakeModel):
    """Say `first` when it is asked, then the samples one after the other."""

    def __init__(self, first: str, samples: Sequence[str | Exception]) -> None:
        super().__init__(self.answer)
        self.first, self.samples = first, list(samples)

    def answer(self, request: Request) -> Completion:
        if request.temperature == 0:
            return said(self.first)
        sample = self.samples.pop(0)
        if isinstance(sample, Exception):
            raise sample
        return said(sample)


def serve(
    small: FakeModel,
    *,
    mid: FakeModel | None = None,
    task: Task = TASK,
    policy: Policy = POLICY,
    places: Mapping[str, str] = {},
    **keys: Any,
) -> Outcome:
    models = {"small": small, "mid": mid or FakeModel(said("refund")), "big": FakeModel("spam")}
    tiers = {
        name: Tier(
            name=name,
            model="fake:x",
            price=BY_THE_SECOND,
            place=places.get(name, "embedded"),  # type: ignore[arg-type]
        )
        for name in models
    }
    asked = {name: keys.pop(name) for name in ("asked", "messages", "segment") if name in keys}
    step = Step(task=task, policy=policy, tiers=tiers, models=models, **keys)
    return asyncio.run(run(step, "hello", request_id="q", draw=0.5, **asked))


def test_samples_that_agree_keep_the_answer_and_their_price_is_booked() -> None:
    done = serve(Voter("refund", ["refund", "Refund", "spam", "refund"]))
    assert (done.answer, done.answered_by) == ("refund", "small")
    call, bought = done.attempts
    assert (bought.kind, bought.tier, bought.why) == ("buy", "small", "second_look")
    assert bought.signals == {"sure": 0.75}
    assert (call.cost_usd, bought.cost_usd, bought.latency_s) == (0.25, 1.0, 1.0)
    assert (bought.decision, bought.threshold) == ("accept small", 0.7)
    assert done.outside_guarantee is None


def test_samples_that_differ_escalate() -> None:
    done = serve(Voter("refund", ["spam", "what", "refund", "spam"]))
    assert (done.answer, done.answered_by) == ("spam", "big")
    assert done.decision.reason == "last"
    assert done.attempts[1].reason == "low_confidence"


def test_hosted_samples_are_asked_for_at_once_and_wait_as_long_as_the_slowest() -> None:
    done = serve(Voter("refund", ["refund"] * 4), places={"small": "vendor"})
    assert (done.attempts[1].latency_s, done.attempts[1].cost_usd) == (0.25, 1.0)


@pytest.mark.parametrize(
    ("error", "failure", "cost"),
    [
        (ModelError("Status 500."), "provider_error", None),
        (Overloaded("full"), "overloaded", 0.75),  # refused: free
        (Unavailable("gone"), "provider_error", 0.75),  # three samples were paid for
    ],
)
def test_a_signal_that_fails_is_unknown_and_the_policy_goes_on(
    error: ModelError, failure: str, cost: float | None
) -> None:
    done = serve(Voter("refund", ["refund", "refund", "refund", error]))
    bought = done.attempts[1]
    assert (bought.failure, bought.cost_usd, bought.signals) == (failure, cost, {"sure": None})
    assert (done.answered_by, done.outside_guarantee) == ("big", None)
    assert bought.reason == "no_confidence"


def test_nothing_is_asked_about_an_answer_that_cannot_be_used() -> None:
    done = serve(Voter("weather", []))
    assert [attempt.kind for attempt in done.attempts] == ["call", "call"]
    assert done.answered_by == "big"


def test_a_judge_outside_the_boundary_is_never_asked() -> None:
    task = replace(TASK, boundary="embedded", signals={"sure": JUDGE})
    mid = FakeModel(said("yes"))
    done = serve(FakeModel(said("refund")), mid=mid, task=task, places={"mid": "vendor"})
    assert mid.asked == []
    assert done.answered_by == "big"


def test_a_tier_that_can_only_repeat_is_not_asked_to_judge() -> None:
    task = replace(TASK, signals={"sure": JUDGE})
    mid = FakeModel(said("yes"), polish=False)
    done = serve(FakeModel(said("refund")), mid=mid, task=task)
    assert mid.asked == []
    assert (done.attempts[1].failure, done.attempts[1].cost_usd) == ("unavailable", 0.0)


def test_a_judge_that_says_yes_keeps_the_answer() -> None:
    task = replace(TASK, signals={"sure": JUDGE})
    mid = FakeModel(Completion(text="yes", label_probs={"yes": 0.8, "no": 0.2}, latency_s=0.5))
    done = serve(FakeModel(said("refund")), mid=mid, task=task)
    assert (done.answered_by, done.attempts[1].signals) == ("small", {"sure": 0.8})
    assert "refund" in mid.asked[0].messages[0].text


def test_a_judge_who_says_neither_is_paid_and_unknown() -> None:
    task = replace(TASK, signals={"sure": JUDGE})
    done = serve(FakeModel(said("refund")), mid=FakeModel(said("hm")), task=task)
    bought = done.attempts[1]
    assert (bought.failure, bought.cost_usd) == ("invalid_output", 0.25)


def test_a_judge_whose_context_is_too_short_is_not_asked() -> None:
    task = replace(TASK, signals={"sure": JUDGE})
    mid = FakeModel(said("yes"), able=replace(ABLE, context_tokens=10))
    done = serve(FakeModel(said("refund")), mid=mid, task=task, estimate=len)
    assert mid.asked == []
    assert done.attempts[1].failure == "incapable"


TRIAGED = Policy(
    tiers=("small", "big"),
    rows=(
        Row(
            called=(),
            when=(Clause("easy", 0.5, Action("call", "small"), "easy"),),
            otherwise=Action("call", "big"),
            reason="hard",
        ),
        Row(called=("small",), otherwise=Action("accept", "small")),
        Row(called=("big",), otherwise=Action("accept", "big")),
    ),
)


@pytest.mark.parametrize(("segment", "by"), [("simple", "small"), ("odd", "big"), (None, "big")])
def test_triage_sees_the_text_and_the_segment_and_chooses_the_entry(
    segment: str | None, by: str
) -> None:
    heard: list[tuple[str, str | None]] = []

    def triage(text: str, kind: str | None) -> dict[str, float | None]:
        heard.append((text, kind))
        return {"triage.small": {"simple": 0.9, "odd": 0.1}.get(kind or "")}

    done = serve(
        FakeModel(said("refund")),
        policy=TRIAGED,
        derived={"easy": Linear(("triage.small",), (1.0,), (0.0,))},
        triage=triage,
        segment=segment,
    )
    assert done.answered_by == by
    assert heard == [("hello", segment)]
    assert len(done.attempts) == 1


def test_a_policy_that_does_not_ask_for_triage_does_not_wait_for_it() -> None:
    def triage(_text: str, _kind: str | None) -> dict[str, float | None]:
        raise AssertionError

    assert serve(Voter("refund", ["refund"] * 4), triage=triage).answered_by == "small"


def test_the_form_of_an_answer_is_read_where_the_policy_rests_on_it() -> None:
    sure = Clause("small.shape_words", 0.5, Action("accept", "small"))
    rows = (
        Row(called=(), otherwise=Action("call", "small")),
        Row(called=("small",), when=(sure,), otherwise=Action("call", "big")),
        Row(called=("small", "big"), otherwise=Action("accept", "big")),
    )
    done = serve(FakeModel(said("refund")), policy=Policy(tiers=("small", "big"), rows=rows))
    assert done.answered_by == "small"
    assert set(done.attempts[0].signals) == {"shape_words", "schema_valid"}


LONG = (Message("user", "hello " * 30),)


def test_a_request_too_long_for_a_tier_goes_to_one_that_can_take_it() -> None:
    small = FakeModel(said("refund"), able=replace(ABLE, context_tokens=20))
    plain = replace(TASK, signals={})
    done = serve(
        small,
        task=plain,
        policy=cascade(("small", "big"), (0.5,)),
        estimate=lambda text: len(text.split()),
        messages=LONG,
    )
    assert small.asked == []
    first = done.attempts[0]
    assert (first.failure, first.cost_usd) == ("incapable", 0.0)
    assert first.failure_detail == (
        "small cannot take this request: about 30 tokens, and its context holds 20."
    )
    assert (done.answered_by, done.outside_guarantee) == ("big", "incapable")


def test_a_tier_without_tools_is_not_sent_a_request_with_tools() -> None:
    small = FakeModel(said("refund"), able=replace(ABLE, tools=False))
    done = serve(
        small,
        policy=cascade(("small", "big"), (0.5,)),
        messages=(Message("user", "hello"),),
        asked=Asked(tools=(Tool("f"),)),
    )
    assert small.asked == []
    assert done.outside_guarantee == "incapable"
