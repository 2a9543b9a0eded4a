"""Certify a pipeline: run its steps in order, each on what the steps before it answer.

It decides nothing: `certify.pipelines` orders and tests the combinations of the steps' policies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from stepdown.certify.case import FEWEST
from stepdown.certify.evidence import Certified
from stepdown.certify.joint import Joint, certified_steps
from stepdown.certify.looks import Spent, rows_digest, spend
from stepdown.certify.messages import Messages, StepCase, messages, step_case
from stepdown.certify.needed import differences_needed
from stepdown.certify.pipelines import (
    Combination,
    certify_messages,
    combinations,
    message_start,
)
from stepdown.config.schema import PipelineKeys
from stepdown.core.digest import digest, seed_from
from stepdown.core.replay_array import Panel
from stepdown.core.task import Promise, Task
from stepdown.errors import DataError
from stepdown.wiring.certifying import Gathered, evidence_of, terms_of
from stepdown.wiring.estimating import Groups, groups_of
from stepdown.wiring.evaluating import Watch
from stepdown.wiring.feeding import Line
from stepdown.wiring.foretelling import with_triage_kept
from stepdown.wiring.pipeline_rows import certify_samples, complete, tune_samples
from stepdown.wiring.pipeline_words import input_words, warnings
from stepdown.wiring.workspace import Workspace

PARTS = ("tune", "certify")


class CertifiedPipeline(Struct, frozen=True, kw_only=True):
    """What came of a pipeline: its steps as they are locked, and the test that they share.

    `left_out` counts certify rows that lack a reference, or a score of the ceiling, in some step.
    """

    name: str
    keys: PipelineKeys
    joint: Joint
    steps: tuple[Certified, ...]
    left_out: int
    warnings: tuple[str, ...] = ()

    @property
    def state(self) -> str:
        """`certified` or `ceiling`."""
        return "certified" if self.joint.test.chosen else "ceiling"


async def certify_pipeline(
    workspace: Workspace, name: str, watch: Watch | None = None, *, relook: bool = False
) -> CertifiedPipeline:
    """Certify a pipeline that promises something, on whole messages.

    Kept calls are not asked again, so a run that was killed goes on where it stopped.

    Raises:
        DataError: too few messages with references in every step, or rows that were looked at.
    """
    work = _work(workspace, name, watch, relook=relook)
    steps = await _searched(work)
    combos = combinations([step.along for step in steps])
    tune = await _messages(work, "tune", steps, combos)
    ids = await _known(work, "certify", steps)
    spent = _spent(work, steps, combos, ids)
    rows = await _messages(work, "certify", steps, combos, ids)
    joint = _joint(work, steps, (tune, rows), spent)
    return CertifiedPipeline(
        name=name,
        keys=work.keys,
        joint=joint,
        steps=tuple(
            with_triage_kept(one, workspace.project.root) for one in certified_steps(joint)
        ),
        left_out=len(workspace.whole_split.parts["certify"]) - len(ids),
        warnings=warnings(workspace.project, name, steps),
    )


class _Work(Struct, frozen=True, kw_only=True):
    """One pipeline to certify: `ids` are the messages of each part with all references."""

    workspace: Workspace
    name: str
    keys: PipelineKeys
    tasks: tuple[Task, ...]
    ids: Mapping[str, tuple[str, ...]]
    lines: Mapping[str, Line]
    relook: bool

    @property
    def max_loss(self) -> float:
        return self.keys.promise.limit()

    @property
    def ceilings(self) -> Combination:
        return (0,) * len(self.tasks)


def _work(workspace: Workspace, name: str, watch: Watch | None, *, relook: bool) -> _Work:
    keys = workspace.project.promised[name]
    promise = Promise(max_loss=keys.promise.limit(), delta=keys.promise.delta)
    tasks = tuple(replace(workspace.project.task(step), promise=promise) for step in keys.steps)
    ids = {part: complete(workspace, name, tasks, part) for part in PARTS}
    samples = {
        "tune": tune_samples(workspace, keys, tasks),
        "certify": {task.name: certify_samples(workspace, task, ids["certify"]) for task in tasks},
    }
    return _Work(
        workspace=workspace,
        name=name,
        keys=keys,
        tasks=tasks,
        ids=ids,
        lines={part: Line(workspace, keys, tasks, samples[part], watch) for part in PARTS},
        relook=relook,
    )


async def _searched(work: _Work) -> tuple[StepCase, ...]:
    """Search each step's path on inputs made by the steps before it, at their start."""
    steps: list[StepCase] = []
    for place, task in enumerate(work.tasks):
        at = (*(step.start for step in steps), *(0 for _ in work.tasks[place:]))
        tune = await work.lines["tune"].table(place, at, steps)
        rows = await work.lines["certify"].table(place, work.ceilings, steps)
        for part, table in (("tune", tune), ("certify", rows)):
            _refuse_unreached(work, task, part, table)
        own = work.workspace.project.task(task.name)
        evidence = evidence_of(work.workspace, own, Gathered(tune=tune, certify=rows))
        terms = terms_of(work.workspace, own, relook=work.relook)
        steps.append(step_case(task, evidence, terms))
    return tuple(steps)


def _refuse_unreached(work: _Work, task: Task, part: str, table: Panel) -> None:
    if table.n < FEWEST:
        raise DataError(
            f"Only {table.n} {part} messages of the pipeline {work.name!r} reach the step "
            f"{task.name!r}: the steps that feed it gave no answer to the others.",
            f"At least {FEWEST} are needed; see `stepdown eval` on those steps.",
        )


async def _messages(
    work: _Work,
    part: str,
    steps: Sequence[StepCase],
    combos: Sequence[Combination],
    ids: Sequence[str] = (),
) -> Messages:
    """Return the messages of a part under every combination of the joint path."""
    line, places = work.lines[part], range(len(steps))
    known = ids or await _known(work, part, steps)
    found = {
        combo: tuple([await line.played(place, combo, steps) for place in places])
        for combo in combos
    }
    return messages(known, found, work.keys.score)


async def _known(work: _Work, part: str, steps: Sequence[StepCase]) -> tuple[str, ...]:
    """Return the messages on which every ceiling has a score: the baseline is known there."""
    line = work.lines[part]
    first = [await line.played(place, work.ceilings, steps) for place in range(len(steps))]
    unknown = {
        task.name: {q for q in work.ids[part] if not one.known(q, task.ceiling)}
        for task, one in zip(work.tasks, first, strict=True)
    }
    lost = set.union(*unknown.values())
    ids = tuple(query for query in work.ids[part] if query not in lost)
    if len(ids) < FEWEST:
        poorest = max(unknown, key=lambda step: len(unknown[step]))
        raise DataError(
            f"Only {len(ids)} {part} messages of the pipeline {work.name!r} have a score of the "
            f"ceiling in every step; at least {FEWEST} are needed. The ceiling of {poorest!r} "
            f"answers {len(unknown[poorest])} of {len(work.ids[part])} not at all.",
            "A step that is fed by others needs tiers that can answer any input; a recording "
            "cannot.",
        )
    return ids


def _spent(
    work: _Work, steps: Sequence[StepCase], combos: Sequence[Combination], ids: Sequence[str]
) -> Spent:
    """Record the look, or refuse it, before any combination is run on the certify rows."""
    looks = tuple(dict.fromkeys(look for step in steps for look in step.case.terms.looks))
    delta = work.keys.promise.delta
    if len(combos) < 2:
        return Spent(looks, delta, ())
    policies = [[[one.policy, one.derived] for one in step.along] for step in steps]
    return spend(
        looks,
        ids,
        tested=digest([work.keys, combos, policies]),
        delta=delta,
        today=steps[0].case.terms.today.isoformat(),
        allow_relook=work.relook,
        task=work.name,
    )


def _joint(
    work: _Work, steps: tuple[StepCase, ...], parts: tuple[Messages, Messages], spent: Spent
) -> Joint:
    tune, rows = parts
    combos, delta = tuple(rows.scores), work.keys.promise.delta
    groups, codes = _groups(work, rows.ids)
    clustered = steps[0].case.evidence.clustered
    n = len(rows.ids) if clustered else len(set(groups))
    start = message_start(combos, tune.scores.__getitem__, work.max_loss, n)
    binary = work.keys.score == "worst" and all(step.case.binary for step in steps)
    test = certify_messages(
        combos,
        rows.scores.__getitem__,
        rows.mean_cost,
        max_loss=work.max_loss,
        delta=delta,
        start=start,
        groups=None if codes is None else groups,
        seed=seed_from(rows_digest(rows.ids)),
        binary=binary,
        per="row" if clustered else "group",
    )
    return Joint(
        name=work.name,
        how=work.keys.score,
        max_loss=work.max_loss,
        steps=steps,
        rows=rows,
        test=test,
        spent=spent,
        codes=codes,
        needed=_needed(work, tune, combos[start], binary, clustered) if not test.chosen else None,
        said=input_words(work.keys),
    )


def _groups(work: _Work, ids: Sequence[str]) -> tuple[list[str], Groups | None]:
    """Return the group of each message by name, and by code where two share one."""
    groups = [work.workspace.whole_split.groups[query] for query in ids]
    return groups, groups_of(groups, ids)


def _needed(
    work: _Work, tune: Messages, hopeful: Combination, binary: bool, clustered: bool
) -> int | None:
    """Return how many messages would decide about the combination that the test began with."""
    gaps = tune.scores[hopeful] - tune.scores[work.ceilings]
    codes = _groups(work, tune.ids)[1] if clustered else None
    delta = work.keys.promise.delta
    return differences_needed(gaps, work.max_loss, delta, binary=binary, codes=codes)
