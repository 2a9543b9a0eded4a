"""`eval`: run every tier of a task on its eval rows, and keep what they said."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from stepdown.adapters.prices.tokens import estimate_tokens
from stepdown.core.digest import seed_from
from stepdown.core.fitness import lacks
from stepdown.core.outcome import Outcome
from stepdown.core.report import Cell, Column, Document, Section, Table
from stepdown.core.requesting import request_for
from stepdown.core.signals import answer_signals
from stepdown.core.task import Task
from stepdown.errors import ConfigError
from stepdown.evals.dataset import Sample
from stepdown.evals.document import eval_document
from stepdown.evals.harness import Progress, RunResult
from stepdown.evals.harness import run as run_tier
from stepdown.evals.summary import Summary, summarise
from stepdown.wiring.buying import further
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
    """One task's eval: its figures, its rows and the runs behind them.

    `outcomes` hold the tiers' answers, then signals that were bought (`?NAME`) and polished drafts
    (`DRAFT>POLISH`), where the task has any. `left_out` are tiers that can take none of the inputs.
    """

    task: Task
    summary: Summary
    outcomes: tuple[Outcome, ...]
    runs: tuple[RunResult, ...]
    left_out: Mapping[str, str] = {}


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

    With `tiers` only these are asked, and nothing is bought or polished.

    Raises:
        ConfigError: the task has no such tier, or nothing was trained for one.
    """
    samples = samples_in(workspace, task, parts)[:limit]
    left_out = {} if tiers else unfit(workspace, task)
    able = tiers or tuple(name for name in ready(workspace, task) if name not in left_out)
    results = [await run_one(workspace, task, name, samples, watch) for name in able]
    outcomes = tuple(outcome for result in results for outcome in result.outcomes)
    recorded = recordings(workspace, task.tiers)
    seed = seed_from(workspace.whole_split.data_digest)
    shown = {*able, task.ceiling}
    asked = msgspec.structs.replace(task, tiers=tuple(t for t in task.tiers if t in shown))
    summary = summarise(asked, outcomes, seed=seed, recorded=recorded)
    more = () if tiers else await further(workspace, task, samples, outcomes, watch)
    return Evaluated(
        task=task,
        summary=summary,
        outcomes=(*outcomes, *more),
        runs=tuple(results),
        left_out=left_out,
    )


def ready(workspace: Workspace, task: Task) -> tuple[str, ...]:
    """Return the task's tiers that can answer: all but experts that were not trained yet."""
    registry = workspace.models.registry
    return tuple(
        name
        for name in task.tiers
        if workspace.tiers[name].adapter != "head" or registry.promoted(task.name, name)
    )


def unfit(workspace: Workspace, task: Task) -> dict[str, str]:
    """Return the tiers that can take none of the task's inputs, each with the reason."""
    found = {name: _lack(workspace, task, name) for name in ready(workspace, task)}
    return {name: why for name, why in found.items() if why is not None}


def _lack(workspace: Workspace, task: Task, tier: str) -> str | None:
    able, why = workspace.model(task, tier).capabilities, None
    for sample in workspace.samples(task):
        request = request_for(
            task, tier, sample.id, sample.input, context=sample.context, capabilities=able
        )
        why = lacks(request, able, estimate_tokens)
        if why is None:
            return None
    return why


async def run_one(
    workspace: Workspace,
    task: Task,
    tier: str,
    samples: Sequence[Sample],
    watch: Watch | None = None,
) -> RunResult:
    """Run one tier on some samples; what an earlier run kept is not asked again.

    The signals that stand in the answers themselves are read now, so kept calls have them too.
    """
    if tier not in task.tiers:
        raise ConfigError(
            f"The task {task.name!r} has no tier {tier!r}.", f"It has: {', '.join(task.tiers)}."
        )
    configured = workspace.tiers[tier]
    hosted = configured.place in ("hosted_open", "vendor") and not configured.recorded
    done = await run_tier(
        task,
        samples,
        configured,
        workspace.model(task, tier),
        configured.price,
        workspace.runs,
        concurrency=8 if hosted else 1,
        progress=watch,
    )
    return msgspec.structs.replace(done, outcomes=tuple(_told(task, o) for o in done.outcomes))


def _told(task: Task, outcome: Outcome) -> Outcome:
    """Return an outcome with what can be read off its answer."""
    if outcome.answer is None:
        return outcome
    found = answer_signals(task, outcome.prompt or "", outcome.answer)
    return msgspec.structs.replace(outcome, signals={**outcome.signals, **found})


def samples_in(workspace: Workspace, task: Task, parts: Sequence[str]) -> tuple[Sample, ...]:
    """Return the task's samples of some parts."""
    return tuple(sample for part in parts for sample in workspace.part(task, part))


def document(workspace: Workspace, found: Sequence[Evaluated], parts: Sequence[str]) -> Document:
    """Return the report of an eval."""
    where = f"{' and '.join(parts)} rows; {workspace.whole_split.description}"
    notes = {one.task.name: notes_on(workspace, one) for one in found}
    return eval_document([one.summary for one in found], split=where, notes=notes)


def notes_on(workspace: Workspace, one: Evaluated) -> tuple[str, ...]:
    """Return what must be said about a task's tiers and references."""
    left_out = [f"{tier} is left out: {why}." for tier, why in one.left_out.items()]
    references = _reference_notes(workspace, one.task)
    return (*untrained_notes(workspace, one.task), *left_out, *references)


def untrained_notes(workspace: Workspace, task: Task) -> tuple[str, ...]:
    """Return the note that names the task's experts which were not trained yet."""
    waiting = [name for name in task.tiers if name not in ready(workspace, task)]
    return (f"Not trained yet: {', '.join(waiting)}; run `stepdown train`.",) if waiting else ()


def _reference_notes(workspace: Workspace, task: Task) -> tuple[str, ...]:
    source = workspace.project.references.get(task.name)
    if source is None:
        return ()
    n = len(workspace.samples(task))
    said = f"Scored by hand-written accepted patterns ({Path(source).name}) on a subset of {n} rows"
    return (f"{said}; they say nothing about tone.",)


def overview(workspace: Workspace, found: Sequence[Evaluated], parts: Sequence[str]) -> Document:
    """Return one table with a row for each task and tier: fit for a first look."""
    columns = (
        Column("task"),
        Column("tier"),
        Column("score", numeric=True),
        Column("p50", numeric=True),
        Column("$/1k calls", numeric=True),
        Column("verdict"),
    )
    rows = tuple(row for one in found for row in _overview_rows(one))
    notes = [f"{one.task.name}: {one.summary.decision.text}" for one in found]
    notes += dict.fromkeys(note for one in found for note in notes_on(workspace, one))
    used = {tier: tier for one in found for tier in one.task.tiers}
    notes += recorded_notes(workspace, used)
    table = Table(
        title="One set, one metric, every tier", columns=columns, rows=rows, notes=tuple(notes)
    )
    where = f"{' and '.join(parts)} rows; {workspace.whole_split.description}"
    section = Section("Eval", (table,))
    return Document(title="Eval", facts=(("rows", where),), sections=(section,))


def recordings(workspace: Workspace, tiers: Iterable[str]) -> dict[str, str]:
    """Return, for each tier that replays a recording, what its answers are."""
    return {
        name: workspace.tiers[name].recording for name in tiers if workspace.tiers[name].recorded
    }


def recorded_notes(workspace: Workspace, tiers: Iterable[str]) -> list[str]:
    """Return the note that stands under every table which shows a recorded tier."""
    end = "replayed; its latency is unknown, its tokens are estimated"
    return [
        f"recorded: {tier}: {what}, {end}; price: {_price_source(workspace, tier)}."
        for tier, what in recordings(workspace, tiers).items()
    ]


def _price_source(workspace: Workspace, tier: str) -> str:
    return workspace.tiers[tier].price.source or "unknown"


def _overview_rows(one: Evaluated) -> list[tuple[Cell, ...]]:
    return [
        (one.task.name, t.tier, t.score, t.latency_p50_s, t.usd_per_1k, str(t.verdict))
        for t in one.summary.tiers
    ]
