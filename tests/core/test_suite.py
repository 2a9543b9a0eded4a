"""A regression suite: exact where the machine is the same, within a tolerance elsewhere."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from stepdown.core.request import Completion
from stepdown.core.suite import (
    STEP,
    TOLERANCE,
    Machine,
    Pinned,
    Suite,
    difference,
    judged,
    rule_for,
    told,
    tolerance_of,
)

HERE = Machine(cpu="x86_64", vectors=("avx2",), libraries={"numpy": "2.4"})
PINNED = Pinned(
    sample="r1", request_digest="sha256:0", answer="a", probs={"a": 0.6, "b": 0.3, "c": 0.1}
)
SUITE = Suite(
    version=1, task="t", tier="e", model="head:x", digest="sha256:1", date="2026-11-29",
    conditions="", machine=HERE, rows=(PINNED,),
)  # fmt: skip


def test_the_same_answer_is_no_difference() -> None:
    assert difference(PINNED, "a", dict(PINNED.probs), STEP) is None


def test_a_step_of_rounding_is_no_difference_and_two_are() -> None:
    assert difference(PINNED, "a", {"a": 0.600001, "b": 0.3, "c": 0.1}, STEP) is None
    found = difference(PINNED, "a", {"a": 0.600002, "b": 0.3, "c": 0.1}, STEP)
    assert found is not None
    assert "'a' moved by 0.000002" in found.why


def test_another_answer_is_named_with_both() -> None:
    found = difference(PINNED, "b", {"a": 0.3, "b": 0.6, "c": 0.1}, STEP)
    assert found is not None
    assert (found.sample, found.expected, found.got) == ("r1", "a (0.600000)", "b (0.600000)")


def test_a_tie_within_the_tolerance_may_turn_and_a_clear_answer_may_not() -> None:
    tie = replace(PINNED, probs={"a": 0.45, "b": 0.44, "c": 0.11})
    turned = {"a": 0.44, "b": 0.45, "c": 0.11}
    assert difference(tie, "b", turned, 0.01) is None
    assert difference(tie, "b", turned, STEP) is not None  # exact is exact
    assert difference(PINNED, "b", {"a": 0.44, "b": 0.45, "c": 0.11}, 0.1) is not None


def test_other_labels_are_a_difference() -> None:
    found = difference(PINNED, "a", {"a": 0.6, "b": 0.4}, 1.0)
    assert found is not None
    assert "other labels" in found.why


@pytest.mark.parametrize(
    "other",
    [
        replace(HERE, vectors=("avx",)),
        replace(HERE, cpu="arm64"),
        replace(HERE, libraries={"numpy": "2.5"}),
    ],
)
def test_another_cpu_or_runtime_loosens_the_rule(other: Machine) -> None:
    assert rule_for(SUITE, HERE) == "exact"
    assert rule_for(SUITE, other) == "tolerance"
    assert tolerance_of(SUITE, "exact") == STEP
    assert tolerance_of(SUITE, "tolerance") == TOLERANCE["head"]
    assert tolerance_of(replace(SUITE, model="new:x"), "tolerance") > TOLERANCE["head"]
    tuned, plain = replace(SUITE, model="lora:x"), replace(SUITE, model="llama:x")
    assert tolerance_of(tuned, "tolerance") == tolerance_of(plain, "tolerance")


def test_free_text_is_judged_only_on_the_same_machine() -> None:
    free = replace(PINNED, probs={})
    assert judged(free, "exact")
    assert not judged(free, "tolerance")
    assert judged(PINNED, "tolerance")


def test_probabilities_are_pinned_rounded() -> None:
    done = Completion(text="x", label_probs={"a": 2 / 3, "b": 1 / 3})
    assert told(done, "a") == ("a", {"a": 0.666667, "b": 0.333333})
    fields = Completion(text="{}", field_probs={"date": 0.12345678})
    assert told(fields, "{}")[1] == {"date": 0.123457}
