"""Evals gather bought signals and polished drafts by the code that serves, and pay once."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from stepdown.adapters.tables.run_files import RunFiles
from stepdown.core.bought import Bought
from stepdown.core.outcome import Outcome
from stepdown.core.request import Capabilities, Completion, Request
from stepdown.core.requesting import polish_request
from stepdown.core.task import Task
from stepdown.core.tier import Price, Tier
from stepdown.errors import ModelError, TimedOut
from stepdown.evals.dataset import Sample
from stepdown.evals.harness import Progress
from stepdown.wiring import evaluating
from stepdown.wiring.buying import KeptModel, further

SAMPLES = tuple(Sample(id=f"q{i}", input=f"message {i}", reference=f"reply {i}") for i in range(4))
DRAFTS = tuple(
    Outcome(
        query_id=sample.id,
        tier="small",
        answer=f"reply {i}",
        failure="truncated" if i == 3 else None,
        prompt=sample.input,
    )
    for i, sample in enumerate(SAMPLES)
)
JUDGE = Bought(kind="judge", tier="big", of="small")
TASK = Task(name="reply", kind="draft", tiers=("small", "big"), signals={"checked": JUDGE})


class Big:
    """Judge by the last digit of the draft, polish by an exclamation mark; count the calls."""

    digest = "sha256:big"
    capabilities = Capabilities()

    def __init__(self, error: ModelError | None = None) -> None:
        self.calls, self.error = 0, error

    async def complete(self, request: Request, *, timeout_s: float | None = None) -> Completion:
        self.calls += 1
        if self.error is not None:
            raise self.error
        if "Say only yes or no" in request.messages[-1].text:
            text = "yes" if "reply 1" in request.messages[-1].text else "no"
            return Completion(text=text, latency_s=0.5)
        return Completion(text=f"{request.input}!", latency_s=0.5)


class Work:
    """As much of a workspace as gathering needs."""

    def __init__(self, folder: Path, model: Big) -> None:
        self.runs = RunFiles(folder)
        self.tiers = {
            name: Tier(name=name, model="fake:x", price=Price(usd_per_hour=3600.0))
            for name in ("small", "big")
        }
        self._model = model

    def model(self, _task: Task, _tier: str) -> Big:
        return self._model


async def gathered(
    folder: Path, task: Task, model: Big, watch: list[Progress] | None = None
) -> dict[tuple[str, str], Outcome]:
    work = Work(folder, model)
    seen = watch.append if watch is not None else None
    rows = await further(work, task, SAMPLES, DRAFTS, seen)  # type: ignore[arg-type]
    work.runs.close()
    return {(row.query_id, row.tier): row for row in rows}


async def test_a_judge_is_asked_about_every_answer_that_can_be_used(tmp_path: Path) -> None:
    watch: list[Progress] = []
    rows = await gathered(tmp_path, TASK, Big(), watch)
    values = {query: row.signals["value"] for (query, _), row in rows.items()}
    assert values == {"q0": 0.0, "q1": 1.0, "q2": 0.0}
    assert {tier for _, tier in rows} == {"?checked"}
    assert {(row.cost_usd, row.latency_s) for row in rows.values()} == {(0.5, 0.5)}
    assert (watch[-1].done, watch[-1].total, watch[-1].tier) == (3, 3, "?checked")


async def test_what_was_bought_once_is_not_bought_again(tmp_path: Path) -> None:
    first, second = Big(), Big()
    one = await gathered(tmp_path, TASK, first)
    other = await gathered(tmp_path, TASK, second)
    assert (first.calls, second.calls) == (3, 0)
    assert one == other


async def test_another_question_is_asked_anew(tmp_path: Path) -> None:
    await gathered(tmp_path, TASK, Big())
    again = Big()
    asked = replace(JUDGE, question="{task} {input} {answer} Say only yes or no, strictly.")
    await gathered(tmp_path, replace(TASK, signals={"checked": asked}), again)
    assert again.calls == 3


@pytest.mark.parametrize(
    ("error", "kind", "calls"),
    [(ModelError("500"), "provider_error", 3), (TimedOut("late"), "deadline", 0)],
)
async def test_a_failure_of_a_provider_is_asked_again_and_a_missed_deadline_is_kept(
    tmp_path: Path, error: ModelError, kind: str, calls: int
) -> None:
    first = await gathered(tmp_path, TASK, Big(error))
    assert {(r.failure, r.signals["value"], r.cost_usd) for r in first.values()} == {
        (kind, None, None)
    }
    second = Big()
    await gathered(tmp_path, TASK, second)
    assert second.calls == calls


async def test_drafts_are_polished_scored_and_priced(tmp_path: Path) -> None:
    task = replace(TASK, signals={}, finish="always")
    rows = await gathered(tmp_path, task, Big())
    assert set(rows) == {("q0", "small>big"), ("q1", "small>big"), ("q2", "small>big")}
    row = rows["q1", "small>big"]
    assert (row.answer, row.score, row.cost_usd, row.failure) == ("reply 1!", 0.0, 0.5, None)


async def test_a_tier_that_can_only_repeat_polishes_nothing(tmp_path: Path) -> None:
    model = Big()
    model.capabilities = Capabilities(polish=False)
    assert await gathered(tmp_path, replace(TASK, signals={}, finish="always"), model) == {}
    assert model.calls == 0


async def test_a_kept_model_repeats_its_answer_in_a_stream_too(tmp_path: Path) -> None:
    store, model = RunFiles(tmp_path), Big()
    kept = KeptModel(model, store, "reply", "?checked")  # type: ignore[arg-type]
    request = polish_request(TASK, "big", "q", "message", "draft")
    told = [await kept.complete(request)]
    told += [chunk.completion async for chunk in kept.stream(request) if chunk.completion]
    store.close()
    assert [one.text for one in told] == ["draft!", "draft!"]
    assert model.calls == 1


def test_signals_that_stand_in_an_answer_are_read_off_kept_calls() -> None:
    task = Task(name="e", kind="extract", tiers=("small",), fields=("order",))
    row = Outcome(
        query_id="q", tier="small", prompt="order AB1", answer='{"order":"AB1"}', signals={"x": 0.5}
    )
    told = evaluating._told(task, row)
    assert told.signals == {"x": 0.5, "span_found": 1.0, "schema_valid": 1.0}
    failed = replace(row, answer=None, failure="deadline")
    assert evaluating._told(task, failed) == failed


class Small(Work):
    """A workspace whose tiers have room for few words."""

    def __init__(self, folder: Path, room: dict[str, int]) -> None:
        super().__init__(folder, Big())
        self.room = room

    def model(self, _task: Task, tier: str) -> Big:
        model = Big()
        model.capabilities = Capabilities(context_tokens=self.room[tier])
        return model

    def walk(self, _task: Task) -> tuple[Sample, ...]:
        return (Sample(id="a", input="word " * 50, reference=""), *SAMPLES)

    @property
    def models(self) -> Small:
        return self

    registry = None


def test_a_tier_that_can_take_no_input_is_left_out_with_the_reason(tmp_path: Path) -> None:
    work = Small(tmp_path, {"small": 1, "big": 20})
    found = evaluating.unfit(work, TASK)  # type: ignore[arg-type]
    assert list(found) == ["small"]
    assert "its context holds 1" in found["small"]
