"""`eval`: run every tier of a task on its eval rows, and keep what they said."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from stepdown.core.digest import seed_from
from stepdown.core.outcome import Outcome
from stepdown.core.report import Document
from stepdown.core.task import Task
from stepdown.errors import ConfigError
from stepdown.evals.dataset import Sample
from stepdown.evals.document import eval_document
from stepdown.evals.harness import Progress, RunResult
from stepdown.evals.harness import run as run_tier
from stepdown.evals.summary import Summary, summarise
from stepdown.wiring.workspace import Workspace

Watch = Callable[[Progress], None]
PARTS: Mapping[str, tuple[str, ...]] = {
    "tune": ("tune",),
    "certify": ("certify",),
    "train": ("train",),
    "all": ("train", "tune", "certify"),
    "held-out": ("tune", "certify"),
}


class Evaluated(Struct, frozen=True, kw_only=True):
    """One task's eval: its figures, its rows and the runs behind them."""

    task: Task
    summary: Summary
    outcomes: tuple[Outcome, ...]
    runs: tuple[RunResult, ...]


async def evaluate(
    workspace: Workspace,
    task: Task,
    *,
    parts: Sequence[str] = ("tune",),
    tiers: Sequence[str] = (),
    limit: int | None = None,
    watch: Watch | None = None,
) -> Evaluated:
    """Run the tiers of one task on some parts of its rows.

    Raises:
        ConfigError: the task has no such tier, or nothing was trained for one.
    """
    samples = samples_in(workspace, task, parts)[:limit]
    results = []
    for name in tiers or task.tiers:
        results.append(await run_one(workspace, task, name, samples, watch))
    outcomes = tuple(outcome for result in results for outcome in result.outcomes)
    recorded = [name for name in task.tiers if workspace.tiers[name].recorded]
    seed = seed_from(workspace.whole_split.data_digest)
    summary = summarise(task, outcomes, seed=seed, recorded=recorded)
    return Evaluated(task=task, summary=summary, outcomes=outcomes, runs=tuple(results))


async def run_one(
    workspace: Workspace,
    task: Task,
    tier: str,
    samples: Sequence[Sample],
    watch: Watch | None = None,
) -> RunResult:
    """Run one tier on some samples; what an earlier run kept is not asked again."""
    if tier not in task.tiers:
        raise ConfigError(
            f"The task {task.name!r} has no tier {tier!r}.", f"It has: {', '.join(task.tiers)}."
        )
    configured = workspace.tiers[tier]
    hosted = configured.place in ("hosted_open", "vendor") and not configured.recorded
    return await run_tier(
        task,
        samples,
        configured,
        workspace.model(task, tier),
        configured.price,
        workspace.runs,
        concurrency=8 if hosted else 1,
        progress=watch,
    )


def samples_in(workspace: Workspace, task: Task, parts: Sequence[str]) -> tuple[Sample, ...]:
    """Return the task's samples of some parts."""
    return tuple(sample for part in parts for sample in workspace.part(task, part))


def document(workspace: Workspace, found: Sequence[Evaluated], parts: Sequence[str]) -> Document:
    """Return the report of an eval."""
    where = f"{' and '.join(parts)} rows; {workspace.whole_split.description}"
    notes = {one.task.name: notes_on(workspace, one.task) for one in found}
    return eval_document([one.summary for one in found], split=where, notes=notes)


def notes_on(workspace: Workspace, task: Task) -> tuple[str, ...]:
    """Return what must be said about a task's references."""
    source = workspace.project.references.get(task.name)
    if source is None:
        return ()
    n = len(workspace.samples(task))
    return (
        f"Scored by hand-written accepted patterns ({Path(source).name}) on a subset of {n} rows; "
        "they say nothing about tone.",
    )
