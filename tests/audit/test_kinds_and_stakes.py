"""Routes, judges and long contexts; who reads a step and what hangs on it; tails of odd inputs."""

import random
from collections.abc import Sequence

import pytest
from tests.audit.test_plan import MESSAGES, N, log, one, run

from stepdown.audit import Rules, StepBill
from stepdown.audit.sketch import Quantiles
from stepdown.audit.stakes import stakes_of
from stepdown.audit.tail import tail_of
from stepdown.core.request import Message, Usage
from stepdown.core.usage_log import LoggedCall

RULES = Rules()


def asked(system: str, answers: Sequence[str], name: str = "step") -> list[LoggedCall]:
    return [
        LoggedCall(
            id=f"{name}{i}",
            step=name,
            step_rule="flag",
            model="m",
            messages=(Message("system", system), Message("user", MESSAGES[i % N])),
            answer=answer,
            usage=Usage(1000, 100),
        )
        for i, answer in enumerate(answers)
    ]


def said(step: StepBill) -> str:
    return "; ".join(step.kind.evidence)


def test_answers_that_name_other_steps_of_the_log_are_a_route() -> None:
    ways = ["billing", "shipping"]
    calls = asked("Pick one.", [ways[i % 2] for i in range(N)], "first")
    calls += [
        call for way in ways for call in asked("Help.", [f"Text {i}." for i in range(5)], way)
    ]
    first = next(step for step in run(calls).steps if step.name == "first")
    assert first.kind.kind == "route"
    assert "billing, shipping" in said(first)
    assert (first.advice.verdict, first.advice.tier) == ("yes", "expert")
    assert set(first.labels) == set(ways)


@pytest.mark.parametrize(
    ("name", "system"),
    [("router", "Say a or b."), ("x", "Say which team handles it: lamps or money.")],
)
def test_a_name_or_a_prompt_that_speaks_of_routes_is_shown_as_evidence(
    name: str, system: str
) -> None:
    step = one(asked(system, [("lamps", "money")[i % 2] for i in range(N)], name))
    assert step.kind.kind == "route"
    assert "says '" in said(step)


def test_the_same_labels_without_such_words_are_a_classification() -> None:
    assert one(asked("Say one word.", [("lamps", "money")[i % 2] for i in range(N)])).kind.kind == (
        "classify"
    )


@pytest.mark.parametrize("answers", [["1", "3", "5"], ["pass", "fail"], ["8/10", "9/10"]])
def test_grades_under_a_prompt_that_asks_for_them_are_a_judges(answers: list[str]) -> None:
    given = [answers[i % len(answers)] for i in range(N)]
    step = one(asked("Rate the answer below by the rubric.", given))
    assert step.kind.kind == "judge"
    assert step.advice.verdict == "maybe"
    assert "agree with people" in step.advice.why
    assert one(asked("What number is in it?", given)).kind.kind == "classify"


def test_an_object_with_a_grade_and_its_reason_is_a_judges() -> None:
    graded = [f'{{"score": {i % 5}, "reason": "because of fact {i}"}}' for i in range(N)]
    assert one(asked("You are a grader of replies.", graded)).kind.kind == "judge"
    assert one(asked("Take out the fields.", graded)).kind.kind != "judge"


def test_prose_from_very_long_inputs_is_long_context_and_stays() -> None:
    answers = [f"We are sorry, parcel {i} is on its way." for i in range(N)]
    step = one(log(MESSAGES, answers, usage=Usage(60_000, 100)))
    assert (step.kind.kind, step.advice.tier) == ("long-context", "stay")
    assert "60," in said(step) or "59," in said(step)


def test_much_that_hangs_on_a_step_keeps_it_on_todays_model() -> None:
    labels = [f"l{i % 3}" for i in range(N)]
    step = one(log(MESSAGES, labels, "fraud check"))
    assert (step.advice.verdict, step.advice.tier) == ("no", "stay")
    assert "'fraud'" in step.advice.why
    assert step.stakes.high is not None


def test_a_rule_of_the_project_stands_before_hints() -> None:
    labels = [f"l{i % 3}" for i in range(N)]
    none = one(log(MESSAGES, labels, "fraud check"), Rules(high_stakes=()))
    assert none.advice.verdict == "yes"
    ruled = one(log(MESSAGES, labels, "intent"), Rules(high_stakes=("int*",)))
    assert (ruled.advice.verdict, ruled.stakes.high) == ("no", "[audit] says so (int*)")


def test_prose_that_customers_read_is_a_maybe_that_says_so_and_a_label_is_not() -> None:
    replies = [f"We are sorry, parcel {i} is on its way and arrives soon." for i in range(N)]
    step = one(asked("Write a reply to the customer.", replies))
    assert step.advice.verdict == "maybe"
    assert "customers read it (its prompt says 'to the customer')" in step.advice.why
    labels = [f"l{i % 3}" for i in range(N)]
    assert one(asked("Label what to say to the customer.", labels)).advice.verdict == "yes"


def test_hints_are_words_and_not_parts_of_other_words_in_a_prompt() -> None:
    assert stakes_of("step", ["Talk about a diagnostics page."], RULES).high is None
    assert stakes_of("step", ["It may be a lawsuit."], RULES).high == "its prompt says 'lawsuit'"
    assert stakes_of("step", [], RULES).evidence == ()


def lengths(*values: float) -> Quantiles:
    found = Quantiles()
    for value in values:
        found.add(value)
    return found


def test_inputs_that_are_like_no_other_are_a_long_tail() -> None:
    rng = random.Random(5)
    usual = [
        f"Please tell me where order {i} is and when it comes to {rng.choice(('home', 'work'))}"
        for i in range(180)
    ]
    odd = [" ".join("".join(rng.sample("abcdefghij", 6)) for _ in range(9)) for _ in range(20)]
    mixed, plain = (tail_of(texts, lengths(), RULES) for texts in ([*usual, *odd], usual))
    assert mixed.unlike == pytest.approx(0.1)
    assert mixed.is_long(RULES)
    assert "10% of 200 inputs are like no other" in mixed.evidence
    assert (plain.unlike, plain.is_long(RULES)) == (0, False)


def test_inputs_that_are_all_different_alike_are_no_tail() -> None:
    rng = random.Random(7)
    words = [f"w{chr(97 + i % 26)}{chr(97 + i // 26)}" for i in range(600)]
    texts = [" ".join(rng.sample(words, 12)) for _ in range(200)]
    assert (tail_of(texts, lengths(), RULES).unlike or 0) < RULES.tail_unlike


def test_few_inputs_tell_no_tail_and_a_few_very_long_ones_do() -> None:
    assert tail_of(["a"] * 20, lengths(), RULES).unlike is None
    stretched = tail_of([], lengths(*[100.0] * 195, *[5000.0] * 5), RULES)
    assert stretched.stretch == pytest.approx(50, rel=0.03)
    assert stretched.is_long(RULES)


def test_a_long_tail_makes_a_yes_a_maybe() -> None:
    rng = random.Random(5)
    odd = [" ".join("".join(rng.sample("abcdefghij", 6)) for _ in range(9)) for _ in range(60)]
    texts = [*MESSAGES[: N - 60], *odd]
    step = one(log(texts, [f"l{i % 3}" for i in range(N)]))
    assert step.advice.verdict == "maybe"
    assert "long tail" in step.advice.why
