"""`eval`: run every tier of a task on its eval rows, keep what they said, and record the run."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from msgspec import Struct

from stepdown import __version__
from stepdown.adapters.prices.tokens import estimate_tokens
from stepdown.core.digest import digest, seed_from
from stepdown.core.task import Task
from stepdown.core.tier import Price, Tier
from stepdown.errors import InputError
from stepdown.evals.asking import Scored, row_of
from stepdown.evals.dataset import Sample
from stepdown.evals.harness import Asked, Terms, TierRun, run_tier
from stepdown.evals.judge_figures import JudgeFigures
from stepdown.evals.kind_report import KindReport
from stepdown.evals.pace import Pace
from stepdown.evals.purse import Purse
from stepdown.evals.record import Finished, KeptSamples, head_of, save
from stepdown.evals.roster import Enrolling, Roster
from stepdown.evals.scorers import scorer_of
from stepdown.evals.scorers.scorer import DIGITS
from stepdown.evals.summary import Asking, Summary, summarise_tallies
from stepdown.evals.tally import Tally
from stepdown.evals.vector_figures import VectorFigures
from stepdown.ports.run_store import RunHead, SavedCall
from stepdown.wiring.eval_kinds import kinds_of
from stepdown.wiring.evaluating import (
    NETWORKED,
    Watch,
    at_once,
    check_tier,
    ready,
    recordings,
    unfit,
)
from stepdown.wiring.kept_ceiling import kept_ceiling
from stepdown.wiring.ranking import beside
from stepdown.wiring.second_pass import Held, as_asked, scored_later
from stepdown.wiring.set_walk import samples_of
from stepdown.wiring.workspace import Workspace


class Evaluated(Struct, frozen=True, kw_only=True):
    """One task's eval: its figures, its record, and how the run of each tier ended.

    `left_out` are tiers that can take none of the inputs; `judge` is what is known of the judge
    that scored the answers, where one did, `vectors` what is known of those of an embed task;
    `kinds` is what the kind of task has to say.
    """

    task: Task
    summary: Summary
    head: RunHead
    runs: tuple[TierRun, ...]
    left_out: Mapping[str, str] = {}
    judge: JudgeFigures | None = None
    vectors: VectorFigures | None = None
    kinds: KindReport = KindReport()


@dataclass(frozen=True, slots=True)
class How:
    """How tasks are evaluated; one for all of them, so that they share its money and its pace.

    `tiers` names the only ones to ask, `limit` how many rows at most, `at_once` how many calls of
    a networked tier may be in flight; `tasks_together` is among how many tasks delta is divided.
    """

    tiers: Sequence[str] = ()
    limit: int | None = None
    repeat: int = 1
    at_once: int | None = None
    purse: Purse = field(default_factory=Purse)
    tasks_together: int = 1
    watch: Watch | None = None
    paces: dict[tuple[str | None, str], Pace] = field(default_factory=dict)

    def pace_of(self, tier: Tier) -> Pace:
        """Return the pace of a tier's provider and model, which other tasks may share."""
        import time

        key = (tier.base_url, tier.model)
        if key not in self.paces:
            self.paces[key] = Pace(at_once(tier, self.at_once), clock=time.perf_counter)
        return self.paces[key]


def check_bounded(workspace: Workspace, tasks: Sequence[Task], tiers: Sequence[str]) -> None:
    """Refuse to bound what cannot be bounded: calls of tiers that nobody has priced.

    Raises:
        InputError: names the tiers.
    """
    used = {tier for task in tasks for tier in tiers or ready(workspace, task)}
    used |= {task.judge.tier for task in tasks if task.judge is not None}
    unknown = [
        name
        for name in workspace.tiers
        if name in used
        and workspace.tiers[name].adapter in NETWORKED
        and workspace.tiers[name].price == Price()
    ]
    if unknown:
        raise InputError(
            f"--max-usd cannot bound {', '.join(unknown)}: nobody knows the price.",
            "Give a price in stepdown.toml, leave the tier out with --tiers, or add "
            "--allow-unknown-cost to let it spend without a limit.",
        )


async def evaluate(
    workspace: Workspace,
    task: Task,
    *,
    parts: Sequence[str] = ("tune",),
    how: How | None = None,
) -> Evaluated:
    """Run the tiers of one task on some parts of its rows, record the run, and sum it up.

    Raises:
        ConfigError: the task has no such tier, or nothing was trained for one.
        DataError: the disk is full; what had finished is kept.
    """
    terms = how or How()
    left_out = {} if terms.tiers else unfit(workspace, task)
    names = [name for name in terms.tiers or ready(workspace, task) if name not in left_out]
    asked = [_asked(workspace, task, name) for name in names]
    roster, samples = _enrolled(workspace, task, samples_of(workspace, task, parts, terms.limit))
    held = Held(task)
    shown = as_asked(task, tuple(samples)) if scored_later(task) else samples
    finished = [await _one(workspace, each, shown, roster, terms, held) for each in asked]
    try:
        found = None
        if scored_later(task):
            found = await held.score(workspace, tuple(samples), finished, terms.purse, terms.watch)
        kept = None
        if task.ceiling not in names:
            kept = await kept_ceiling(workspace, task, samples, roster.n, terms.repeat)
        done = _summed(
            workspace, task, roster, samples.order, finished, terms, left_out, parts, kept=kept
        )
        return msgspec.structs.replace(
            done,
            judge=found if isinstance(found, JudgeFigures) else None,
            vectors=found if isinstance(found, VectorFigures) else None,
            kinds=kinds_of(workspace, task, done.head),
        )
    finally:
        for each in finished:
            each.tally.close()


def _enrolled(
    workspace: Workspace, task: Task, samples: Iterable[Sample]
) -> tuple[Roster, KeptSamples]:
    """Walk the samples once, and keep them: the run can be read when the data have changed."""
    enrolling = Enrolling()
    order = workspace.runs.keep_samples(task.name, enrolling.through(samples))
    return enrolling.roster(), KeptSamples(workspace.runs, task.name, order)


def _asked(workspace: Workspace, task: Task, name: str) -> Asked:
    check_tier(task, name)
    scorer = scorer_of(task)
    if task.kind == "embed":
        told = (scorer.settings, beside(workspace, task))
        scorer = dataclasses.replace(scorer, settings=digest(told).removeprefix("sha256:")[:DIGITS])
    return Asked(task, workspace.tiers[name], workspace.model(task, name), scorer)


async def _one(
    workspace: Workspace,
    asked: Asked,
    samples: Iterable[Sample],
    roster: Roster,
    how: How,
    held: Held,
) -> Finished:
    tally = Tally(roster.n, how.repeat, workspace.runs.scratch())

    def sink(i: int, repeat: int, each: Scored, call: SavedCall | None, reused: bool) -> None:
        row = row_of(each, call, repeat=repeat, reused=reused)
        tally.put(i, row)
        held.add(i, row, each.outcome)

    terms = Terms(
        concurrency=at_once(asked.tier, how.at_once),
        repeat=how.repeat,
        purse=None if asked.tier.recorded else how.purse,
        pace=how.pace_of(asked.tier),
        estimate_tokens=estimate_tokens,
        progress=how.watch,
    )
    run = await run_tier(asked, samples, roster.n, roster.twins, workspace.runs, sink, terms)
    return Finished(asked, run, tally)


def _summed(
    workspace: Workspace,
    task: Task,
    roster: Roster,
    order: str,
    finished: Sequence[Finished],
    how: How,
    left_out: Mapping[str, str],
    parts: Sequence[str],
    *,
    kept: Tally | None,
) -> Evaluated:
    seed = seed_from(roster.digest)
    head = head_of(
        task,
        finished,
        roster=roster,
        order=order,
        seed=seed,
        repeat=how.repeat,
        rows=f"{' and '.join(parts)} rows" + (f", {roster.n:,} drawn" if how.limit else ""),
        date=workspace.environment.now.isoformat(timespec="seconds"),
        version=__version__,
    )
    save(workspace.runs, head, finished)
    shown = {each.run.tier for each in finished} | {task.ceiling}
    narrowed = msgspec.structs.replace(task, tiers=tuple(t for t in task.tiers if t in shown))
    tallies = {tier: Tally(roster.n, how.repeat) for tier in narrowed.tiers}
    tallies |= {each.run.tier: each.tally for each in finished}
    asked = any(each.run.tier == task.ceiling for each in finished)
    if not asked and kept is not None:
        tallies[task.ceiling] = kept
    asking = Asking(
        seed=seed,
        recorded=recordings(workspace, task.tiers),
        stopped={each.run.tier: each.run.stopped for each in finished if each.run.stopped},
        tasks_together=how.tasks_together,
        run=head.digest,
        ceiling_asked=asked or kept is not None,
    )
    return Evaluated(
        task=task,
        summary=summarise_tallies(narrowed, tallies, roster.groups, asking),
        head=head,
        runs=tuple(each.run for each in finished),
        left_out=left_out,
    )
