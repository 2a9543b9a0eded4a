"""The decision: one table of cases, and what it says of them."""

import math

import pytest

from stepdown.core.decide import Decision, Observation, decide
from stepdown.core.policy import Action, Clause, Policy, Row, cascade, single

CASCADE = cascade(("a", "b", "c"), (0.8, 0.6))
ROUTER = Policy(
    tiers=("a", "b"),
    rows=(
        Row(
            called=(),
            when=(Clause("draw", 0.5, Action("call", "b"), "mixed"),),
            otherwise=Action("call", "a"),
            reason="entry",
        ),
        Row(called=("a",), otherwise=Action("abstain"), reason="enough"),
        Row(
            called=("b",),
            when=(
                Clause("b.confidence", 0.9, Action("polish", "a"), "finish"),
                Clause("b.confidence", 0.5, Action("accept", "b")),
            ),
            otherwise=Action("call", "a"),
        ),
        Row(called=("b", "a"), otherwise=Action("accept", "a"), reason="last_tier"),
    ),
)


def sure(tier: str, value: float | None, **more: dict[str, str]) -> Observation:
    return Observation((tier,), {f"{tier}.confidence": value}, **more)


CASES = {
    "entry": (CASCADE, Observation(), "call a", "entry", None),
    "confident": (CASCADE, sure("a", 0.9), "accept a", "confident", None),
    "exactly at the threshold": (CASCADE, sure("a", 0.8), "accept a", "confident", None),
    "low": (CASCADE, sure("a", 0.79), "call b", "low_confidence", None),
    "None": (CASCADE, sure("a", None), "call b", "no_confidence", None),
    "NaN": (CASCADE, sure("a", math.nan), "call b", "no_confidence", None),
    "no signal at all": (CASCADE, Observation(("a",)), "call b", "no_confidence", None),
    "invalid although sure": (
        CASCADE,
        sure("a", 1.0, invalid={"a": "invalid_output"}),
        "call b",
        "invalid_output",
        None,
    ),
    "entry blocked": (
        CASCADE,
        Observation(unavailable={"a": "down"}),
        "call c",
        "down",
        "down",
    ),
    "next tier blocked": (
        CASCADE,
        sure("a", 0.1, unavailable={"b": "boundary"}),
        "call c",
        "boundary",
        "boundary",
    ),
    "all stronger tiers blocked": (
        CASCADE,
        sure("a", 0.1, unavailable={"b": "down", "c": "boundary"}),
        "accept a",
        "down",
        "down",
    ),
    "last tier invalid, an earlier answer stands": (
        CASCADE,
        Observation(("a", "b", "c"), {}, {"c": "truncated"}),
        "accept b",
        "truncated",
        "truncated",
    ),
    "nothing can answer": (
        CASCADE,
        Observation(unavailable={"a": "down", "b": "down", "c": "down"}),
        "abstain",
        "down",
        "down",
    ),
    "unforeseen state": (
        CASCADE,
        Observation(("c",)),
        "accept c",
        "unforeseen_state",
        "unforeseen_state",
    ),
    "unforeseen state without an answer": (
        CASCADE,
        Observation(("c",), {}, {"c": "refusal"}),
        "call b",
        "unforeseen_state",
        "unforeseen_state",
    ),
    "abstain by the table": (ROUTER, sure("a", 0.9), "abstain", "enough", None),
    "the draw decides the entry": (ROUTER, Observation((), {"draw": 0.5}), "call b", "mixed", None),
    "the draw below": (ROUTER, Observation((), {"draw": 0.49}), "call a", "entry", None),
    "the first clause that holds wins": (ROUTER, sure("b", 0.95), "polish a", "finish", None),
    "a later clause": (ROUTER, sure("b", 0.6), "accept b", "confident", None),
    "cannot polish": (
        ROUTER,
        sure("b", 0.95, unavailable={"polish a": "unavailable"}),
        "accept b",
        "unavailable",
        "unavailable",
    ),
    "the polishing tier is outside": (
        ROUTER,
        sure("b", 0.95, unavailable={"a": "boundary"}),
        "accept b",
        "boundary",
        "boundary",
    ),
    "no polish of an unusable draft": (
        ROUTER,
        sure("b", 0.95, invalid={"b": "truncated"}),
        "call a",
        "truncated",
        None,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_decision_of(name: str) -> None:
    policy, seen, action, reason, outside = CASES[name]
    found = decide(policy, seen)
    assert (str(found.action), found.reason, found.outside_guarantee) == (action, reason, outside)


def test_a_decision_carries_its_evidence() -> None:
    low = decide(CASCADE, sure("a", 0.3))
    assert (low.signal, low.value, low.threshold) == ("a.confidence", 0.3, 0.8)
    unknown = decide(CASCADE, sure("a", math.nan))
    assert (unknown.value, unknown.threshold) == (None, 0.8)


def test_an_unsure_row_that_polishes_an_unusable_draft_goes_outside_the_guarantee() -> None:
    policy = Policy(
        tiers=("a", "b"),
        rows=(
            Row(called=(), otherwise=Action("call", "a")),
            Row(called=("a",), otherwise=Action("polish", "b")),
        ),
    )
    found = decide(policy, Observation(("a",), {}, {"a": "refusal"}))
    assert found == Decision(Action("call", "b"), "refusal", outside_guarantee="refusal")


def test_one_tier_alone_accepts_without_looking_at_a_signal() -> None:
    assert decide(single("a"), sure("a", None)).reason == "last_tier"
