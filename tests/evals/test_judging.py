"""The judge's pass over answers, with scripted judges."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from eval_fakes import FakeModel

from stepdown.core.judge import Judge
from stepdown.core.request import Completion, Request
from stepdown.core.verdict import Case
from stepdown.errors import ModelError, Overloaded, TimedOut
from stepdown.evals.harness import Patience
from stepdown.evals.judge_figures import Person, agreement, position, repeats_differ, unscored
from stepdown.evals.judging import Judged, judge_cases

GRADES = {"good": 1.0, "fair": 0.5, "bad": 0.0}
RUBRIC = Judge(tier="big", rubric="Be polite.", grades=GRADES)
PAIR = Judge(tier="big", kind="pairwise", rubric="Be polite.")


def cases(*answers: str, other: str | None = None) -> list[Case]:
    return [
        Case(id=f"s{i}", task="draft", source="hello", answer=answer, other=other)
        for i, answer in enumerate(answers)
    ]


async def judged(
    judge: Judge, answer: Callable[[Request], str | Completion | Exception], what: list[Case]
) -> tuple[Judged, ...]:
    async def no_sleep(_seconds: float) -> None:
        return None

    model = FakeModel(answer)
    return await judge_cases(
        judge,
        what,
        model,
        timeout_s=1,
        concurrency=2,
        sleep=no_sleep,
        patience=Patience(overload_waits_s=(0.1,), give_up_after=3),
    )


def prefers(word: str) -> Callable[[Request], str]:
    """A judge that prefers the answer which holds a word, and ties where both or none do."""

    def answer(request: Request) -> str:
        first, second = request.input.split("The second answer")
        found = (word in first.split("The first answer")[1], word in second)
        return {(True, False): "first", (False, True): "second"}.get(found, "tie")

    return answer


async def test_grades_become_scores_in_the_order_of_the_cases() -> None:
    found = await judged(
        RUBRIC, lambda r: "good" if "sorry" in r.input else "fair", cases("sorry!", "no")
    )
    assert [one.score for one in found] == [1.0, 0.5]


async def test_a_reply_that_cannot_be_read_leaves_the_case_unscored_and_not_0() -> None:
    found = await judged(RUBRIC, lambda r: "hm" if "odd" in r.input else "bad", cases("odd", "x"))
    assert [(one.score, one.failure) for one in found] == [(None, "judge_unparsable"), (0.0, None)]
    assert unscored({"small": found}) == {"small": {"judge_unparsable": 1}}


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TimedOut("late"), "judge_deadline"),
        (ModelError("broken"), "judge_provider_error"),
        (Overloaded("full"), "judge_overloaded"),
    ],
)
async def test_a_judge_that_fails_leaves_the_case_unscored_with_the_kind(
    error: Exception, kind: str
) -> None:
    found = await judged(RUBRIC, lambda _r: error, cases("a"))
    assert (found[0].score, found[0].failure) == (None, kind)


async def test_a_judge_that_keeps_failing_is_given_up_and_asked_no_more() -> None:
    asked = []

    def answer(request: Request) -> Exception:
        asked.append(request)
        return ModelError("down")

    found = await judged(RUBRIC, answer, cases(*map(str, range(20))))
    assert len(asked) < 8
    assert {one.failure for one in found} == {"judge_provider_error", "judge_unavailable"}


async def test_an_overloaded_judge_is_waited_for() -> None:
    replies = iter([Overloaded("full"), "good"])
    found = await judged(RUBRIC, lambda _r: next(replies), cases("a"))
    assert found[0].score == 1.0


async def test_a_pair_is_seen_in_both_orders_and_the_better_answer_wins_in_both() -> None:
    found = await judged(PAIR, prefers("sorry"), cases("sorry", "rude", other="sorry, but"))
    assert [one.score for one in found] == [0.5, 0.0]
    won = await judged(PAIR, prefers("kind"), cases("kind", other="rude"))
    assert won[0].score == 1.0
    bias = position([*found, *won])
    assert bias is not None
    assert bias.turned.value == 0.0


async def test_a_judge_that_always_takes_the_first_gives_a_tie_and_its_bias_is_told() -> None:
    found = await judged(PAIR, lambda _r: "first", cases("a", "b", "c", other="z"))
    assert [one.score for one in found] == [0.5, 0.5, 0.5]
    bias = position(found)
    assert bias is not None
    assert (bias.turned.value, bias.turned.n) == (1.0, 3)
    assert (bias.first.value, bias.first.n) == (1.0, 6)


async def test_a_pair_of_which_one_order_failed_is_unscored() -> None:
    replies = iter(["first", "what?"])
    found = await judged(PAIR, lambda _r: next(replies), cases("a", other="b"))
    assert (found[0].score, found[0].failure) == (None, "judge_unparsable")


async def test_two_equal_answers_tie_without_a_call() -> None:
    def never(_request: Request) -> str:
        raise AssertionError

    found = await judged(PAIR, never, cases("same", other="same"))
    assert found[0].score == 0.5


async def test_repeats_are_averaged_and_their_spread_is_told() -> None:
    judge = Judge(tier="big", rubric="x", grades=GRADES, repeats=2)
    found = await judged(judge, lambda r: "good" if r.seed else "bad", cases("a", "b"))
    assert [one.score for one in found] == [0.5, 0.5]
    spread = repeats_differ(judge, found)
    assert spread is not None
    assert (spread.value, spread.n) == (1.0, 2)


def test_agreement_with_people_has_rate_kappa_and_correlation() -> None:
    from scipy.stats import spearmanr
    from sklearn.metrics import cohen_kappa_score

    theirs = [1.0, 0.5, 0.0, 1.0, 1.0, 0.0] * 6
    own = [1.0, 0.5, 0.5, 1.0, 0.0, 0.0] * 6
    people = [Person(score=a, judged=b) for a, b in zip(theirs, own, strict=True)]
    found = agreement(RUBRIC, people, seed=1)
    assert found is not None
    assert found.n == 36
    assert found.same.value == pytest.approx(4 / 6)
    words = {1.0: "good", 0.5: "fair", 0.0: "bad"}
    expected = cohen_kappa_score([words[x] for x in theirs], [words[x] for x in own])
    assert found.kappa.value == pytest.approx(expected)
    assert found.correlation.value == pytest.approx(spearmanr(theirs, own).statistic)
    assert found.kappa.low is not None
    assert found.kappa.low < found.kappa.value < (found.kappa.high or 0)


def test_agreement_of_few_or_of_constant_grades_has_no_interval_or_no_value() -> None:
    few = agreement(RUBRIC, [Person(score=1.0, judged=1.0)] * 3, seed=1)
    assert few is not None
    assert (few.kappa.value, few.correlation.value) == (None, None)
    assert few.same.value == 1.0
    assert agreement(RUBRIC, [], seed=1) is None
