"""The second pass of an eval whose scorer is a judge: answers are kept first, then judged.

Verdicts are kept like answers, so that none is paid for twice: their key holds the judge's tier,
rubric, wording and the texts. What judging costs is counted apart from what the tiers cost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from stepdown.core.judge import Judge
from stepdown.core.outcome import BOUGHT, Outcome
from stepdown.core.request import encode_answer
from stepdown.core.task import Task
from stepdown.core.tier import Price
from stepdown.core.verdict import Case, judge_id
from stepdown.errors import ConfigError, DataError
from stepdown.evals.dataset import Sample
from stepdown.evals.harness import Progress
from stepdown.evals.judge_figures import (
    JudgeFigures,
    Person,
    agreement,
    position,
    repeats_differ,
    unscored,
)
from stepdown.evals.judging import SAME, Judged, judge_cases
from stepdown.evals.purse import Purse
from stepdown.wiring.bounding import BoundedModel
from stepdown.wiring.buying import KeptModel
from stepdown.wiring.evaluating import at_once
from stepdown.wiring.workspace import Workspace

Watch = Callable[[Progress], None]

NO_RIVAL = "judge_no_rival"  # the ceiling gave nothing to compare with
EVEN = 0.5  # what a pairwise judge gives to an answer beside itself


class _Place(Struct, frozen=True):
    """What a case is about: the outcome of a tier, or an answer that a person graded."""

    case: Case
    outcome: int | None = None
    person: tuple[float, str | None] | None = None


async def judged_outcomes(
    workspace: Workspace,
    task: Task,
    judge: Judge,
    samples: Sequence[Sample],
    outcomes: Sequence[Outcome],
    watch: Watch | None,
    purse: Purse,
) -> tuple[tuple[Outcome, ...], JudgeFigures]:
    """Return the outcomes with the judge's scores, and what is known of the judge.

    An answer that the judge could not score stays unscored; one that failed before keeps its 0.

    Raises:
        ConfigError: a pairwise judge, and the ceiling did not answer.
        DataError: people's grades that cannot be read.
    """
    _refuse_no_rival(task, judge, outcomes)
    desk = _Desk(workspace, task, judge, samples, outcomes)
    places = desk.places()
    tier = workspace.tiers[judge.tier]
    paid = BoundedModel(workspace.models.model(task, judge.tier), tier.price, purse)
    model = KeptModel(paid, workspace.runs, task.name, desk.stored)
    books = _Books(task.name, desk.name, len(places), tier.price, watch)
    found = await judge_cases(
        judge,
        [place.case for place in places],
        model,
        timeout_s=tier.timeout_s,
        concurrency=at_once(tier),
        report=books.add,
    )
    scored = desk.scored(places, found)
    return scored, desk.figures(places, found, model, tier.price)


def _refuse_no_rival(task: Task, judge: Judge, outcomes: Sequence[Outcome]) -> None:
    ran = {outcome.tier for outcome in outcomes}
    if judge.kind == "pairwise" and judge.against == "ceiling" and task.ceiling not in ran:
        raise ConfigError(
            f"tasks.{task.name}: its judge compares with the ceiling, {task.ceiling!r}, which was "
            "not asked.",
            f"Name {task.ceiling} among `--tiers`, or leave `--tiers` out.",
        )


class _Desk:
    """One judge at work on one task."""

    def __init__(
        self,
        workspace: Workspace,
        task: Task,
        judge: Judge,
        samples: Sequence[Sample],
        outcomes: Sequence[Outcome],
    ) -> None:
        self.task, self.judge = task, judge
        self.name = judge.name or judge.tier
        self.stored = f"judge:{self.name}"
        self.samples = {sample.id: sample for sample in samples}
        self.outcomes = outcomes
        self.seed = len(outcomes)
        self.human = {} if judge.human is None else _grades_of(workspace, task, judge)
        self.ceiling: dict[str, str | None] = {}
        for o in outcomes:
            if o.tier == task.ceiling and not o.failure:
                self.ceiling.setdefault(o.query_id, o.answer)

    def places(self) -> list[_Place]:
        """Return every answer that waits for a score, then those that people graded."""
        return [*self._answers(), *self._graded()]

    def _answers(self) -> Iterator[_Place]:
        for number, outcome in enumerate(self.outcomes):
            if self._waits(outcome):
                sample = self.samples[outcome.query_id]
                case = self._case(sample, outcome.query_id, outcome.answer or "")
                if case is not None:
                    yield _Place(case, number)

    def _waits(self, outcome: Outcome) -> bool:
        usable = outcome.failure is None and outcome.answer is not None
        asked = outcome.query_id in self.samples and not outcome.tier.startswith(BOUGHT)
        return usable and asked and outcome.score is None and not self._is_ceiling(outcome)

    def _is_ceiling(self, outcome: Outcome) -> bool:
        """The ceiling beside itself is even, and nobody needs to be asked."""
        beside = self.judge.kind == "pairwise" and self.judge.against == "ceiling"
        return beside and outcome.tier == self.task.ceiling

    def _graded(self) -> Iterator[_Place]:
        for sample_id, graded in self.human.items():
            sample = self.samples.get(sample_id)
            for number, (answer, score) in enumerate(graded.answers if sample else ()):
                assert sample is not None
                case = self._case(sample, f"{sample_id}#{number}", answer)
                if case is not None:
                    yield _Place(case, None, (score, sample.group))

    def _case(self, sample: Sample, case_id: str, answer: str) -> Case | None:
        """Return what the judge is shown, None where there is nothing to compare with."""
        reference = _text(sample.reference)
        other = self._rival(sample.id, reference)
        if self.judge.kind == "pairwise" and other is None:
            return None
        return Case(
            id=case_id,
            task=self.task.name,
            source=sample.input,
            answer=answer,
            reference=None if self.judge.kind == "pairwise" else reference,
            other=other,
        )

    def _rival(self, sample_id: str, reference: str | None) -> str | None:
        if self.judge.kind != "pairwise":
            return None
        return self.ceiling.get(sample_id) if self.judge.against == "ceiling" else reference

    def scored(self, places: Sequence[_Place], found: Sequence[Judged]) -> tuple[Outcome, ...]:
        """Return the outcomes with their scores."""
        scores = {p.outcome: one.score for p, one in zip(places, found, strict=True)}
        return tuple(
            replace(outcome, score=scores.get(number, self._unasked(outcome)))
            for number, outcome in enumerate(self.outcomes)
        )

    def _unasked(self, outcome: Outcome) -> float | None:
        even = self._is_ceiling(outcome) and outcome.failure is None
        return EVEN if even and outcome.answer is not None else outcome.score

    def figures(
        self, places: Sequence[_Place], found: Sequence[Judged], model: KeptModel, price: Price
    ) -> JudgeFigures:
        """Return what is known of the judge after this run."""
        fresh = [price.cost_usd(done.usage, done.latency_s) for done in model.fresh]
        by_tier: dict[str, list[Judged]] = {}
        for place, one in zip(places, found, strict=True):
            if place.outcome is not None:
                by_tier.setdefault(self.outcomes[place.outcome].tier, []).append(one)
        for outcome in self._without_rival(places):
            by_tier.setdefault(outcome.tier, []).append(Judged(score=None, failure=NO_RIVAL))
        calls = sum(one.word != SAME for each in found for one in each.said)
        return JudgeFigures(
            name=self.name,
            scorer=judge_id(self.judge, model.digest),
            tier=self.judge.tier,
            kind=self.judge.kind,
            cases=len(places),
            calls=len(fresh),
            reused=max(0, calls - len(fresh)),
            cost_usd=sum(cost for cost in fresh if cost is not None),
            cost_unknown=sum(cost is None for cost in fresh),
            unscored=unscored(by_tier),
            agreement=agreement(self.judge, self._people(places, found), self.seed),
            position=position(found) if self.judge.kind == "pairwise" else None,
            repeats_differ=repeats_differ(self.judge, found),
        )

    def _without_rival(self, places: Sequence[_Place]) -> Iterator[Outcome]:
        judged = {place.outcome for place in places}
        for number, outcome in enumerate(self.outcomes):
            if self._waits(outcome) and number not in judged:
                yield outcome

    def _people(self, places: Sequence[_Place], found: Sequence[Judged]) -> list[Person]:
        """Return the answers that both a person and the judge scored."""
        people = []
        for place, one in zip(places, found, strict=True):
            said = place.person or self._person(place)
            if said is not None and one.score is not None:
                people.append(Person(score=said[0], judged=one.score, group=said[1]))
        return people

    def _person(self, place: _Place) -> tuple[float, str | None] | None:
        if place.outcome is None:
            return None
        outcome = self.outcomes[place.outcome]
        graded = self.human.get(outcome.query_id)
        score = None if graded is None else graded.tiers.get(outcome.tier)
        return None if score is None else (score, outcome.group)


class _Graded(Struct, frozen=True):
    """People's grades of one sample: of the answers of tiers, and of answers written out."""

    tiers: Mapping[str, float] = {}
    answers: tuple[tuple[str, float], ...] = ()


def _grades_of(workspace: Workspace, task: Task, judge: Judge) -> dict[str, _Graded]:
    values = workspace.values_at(task, judge.human or "")
    return {sample: _graded(judge, value, sample) for sample, value in values.items()}


def _graded(judge: Judge, value: Any, sample: str) -> _Graded:
    if isinstance(value, Mapping):
        return _Graded(tiers={t: _score(judge, said, sample) for t, said in value.items()})
    if isinstance(value, list | tuple):
        return _Graded(answers=tuple(_written(judge, each, sample) for each in value))
    raise _unreadable(judge, value, sample)


def _written(judge: Judge, each: Any, sample: str) -> tuple[str, float]:
    if not isinstance(each, Mapping) or set(each) != {"answer", "score"}:
        raise _unreadable(judge, each, sample)
    return str(each["answer"]), _score(judge, each["score"], sample)


def _score(judge: Judge, said: Any, sample: str) -> float:
    if isinstance(said, str) and said in judge.words:
        return judge.worth(said)
    if isinstance(said, int | float) and 0 <= said <= 1:
        return float(said)
    raise _unreadable(judge, said, sample)


def _unreadable(judge: Judge, value: Any, sample: str) -> DataError:
    return DataError(
        f"The row {sample!r}: {judge.human} holds no grades of people: {value!r}.",
        'Write {"TIER": GRADE} or [{"answer": TEXT, "score": GRADE}]; a grade is one of '
        f"{', '.join(judge.words)}, or a number from 0 to 1.",
    )


def _text(reference: Any) -> str | None:
    """Return a reference as a judge is shown it; of several texts the first."""
    if reference is None or isinstance(reference, str):
        return reference or None
    if isinstance(reference, list | tuple) and reference and isinstance(reference[0], str):
        return reference[0]
    return encode_answer(reference)


class _Books:
    """How far the judge is, told to whoever watches."""

    def __init__(self, task: str, name: str, total: int, price: Price, watch: Watch | None) -> None:
        self._books = Progress(task=task, tier=f"judge {name}", total=total)
        self._price, self._watch = price, watch

    def add(self, one: Judged) -> None:
        """Note one judged case."""
        old = self._books
        costs = [self._price.cost_usd(s.usage, s.latency_s) for s in one.said]
        self._books = replace(
            old,
            done=old.done + 1,
            failed=old.failed + (one.score is None),
            cost_usd=old.cost_usd + sum(cost for cost in costs if cost is not None),
        )
        if self._watch is not None:
            self._watch(self._books)
