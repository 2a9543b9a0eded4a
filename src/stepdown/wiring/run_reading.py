"""What the tiers of a run answered, as people look at it; scored anew where the scorer changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from stepdown.core.answered import Answered
from stepdown.core.requesting import read_answer
from stepdown.core.task import Task
from stepdown.core.tier import Price
from stepdown.errors import DataError
from stepdown.evals.asking import Scored, scored
from stepdown.evals.dataset import Sample
from stepdown.evals.record import Case, cases
from stepdown.evals.scorers import Scorer, scorer_of
from stepdown.ports.run_store import RunHead
from stepdown.wiring.workspace import Workspace


def answers(workspace: Workspace, head: RunHead, tier: str) -> Iterator[Answered]:
    """Yield what one tier of a run said, as the run scored it."""
    task = workspace.project.tasks.get(head.task)
    for case in cases(workspace.runs, head, tier):
        yield _answered(case, tier, task, None)


def answers_by(workspace: Workspace, head: RunHead, tier: str, task: Task) -> Iterator[Answered]:
    """Yield what one tier of a run said, scored now by the task's scorer; no model is called.

    Raises:
        DataError: an answer that was kept is gone, or a second pass scores the task.
    """
    if task.judge is not None or task.kind == "embed":
        raise DataError(
            f"The task {task.name!r} is scored by {task.scorer} in a second pass.",
            "Run `stepdown eval` again (kept answers cost nothing), and compare that run.",
        )
    scorer = scorer_of(task)
    for case in cases(workspace.runs, head, tier):
        yield _answered(case, tier, task, _again(case, head, tier, task, scorer))


def _again(case: Case, head: RunHead, tier: str, task: Task, scorer: Scorer) -> Scored | None:
    if case.row.call is None:
        return None
    if case.call is None:
        raise DataError(
            f"The answer to {case.sample.id!r} of the run {head.digest[:19]} is no longer kept, so "
            "it cannot be scored again.",
            "Run `stepdown eval` again.",
        )
    return scored(task, scorer, case.sample, tier, Price(), case.call)


def _answered(case: Case, tier: str, task: Task | None, again: Scored | None) -> Answered:
    sample, row = case.sample, case.row
    score, failure, detail = row.score, row.failure, row.detail
    if again is not None:
        score, failure, detail = again.outcome.score, again.outcome.failure, again.detail
    return Answered(
        id=sample.id,
        sample=sample.digest,
        tier=tier,
        input=sample.input,
        reference=None if sample.reference is None else as_text(sample.reference),
        answer=_said(case, tier, task),
        score=score,
        failure=failure,
        detail=detail,
        label=sample.reference if isinstance(sample.reference, str) else None,
        group=sample.group,
        segment=sample.segment,
        before=_before(sample),
        images=len(sample.images),
        repeat=row.repeat,
        latency_s=row.latency_s,
        cost_usd=row.cost_usd,
        reused=row.reused,
    )


def _said(case: Case, tier: str, task: Task | None) -> str | None:
    """Return the answer as it is scored where it can be read, else as it came."""
    done = None if case.call is None else case.call.completion
    if done is None:
        return None
    if task is not None and task.kind == "embed":
        return f"a vector of {done.text.count(',') + 1} numbers"
    read = None if task is None else read_answer(task, tier, done, case.sample.context)
    if read is not None and read.text is not None:
        return read.text
    if done.text or not done.tool_calls:
        return done.text
    return msgspec.json.encode(done.tool_calls).decode()


def _before(sample: Sample) -> str:
    return "\n".join(f"{message.role}: {message.text}" for message in sample.history)


def as_text(reference: Any) -> str:
    """Return a reference as text: itself, or its JSON."""
    return reference if isinstance(reference, str) else msgspec.json.encode(reference).decode()
