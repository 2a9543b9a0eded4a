"""Pin what a tier answers to some train rows, and ask it again: the regression suite of a file.

One input at a time, every prompt read anew. Texts are kept where the task's `store` is `full`;
otherwise a row is found again by its id, and left out (counted) once it is gone or changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from stepdown.adapters.tables.suite_files import read_suite, write_suite
from stepdown.core.digest import digest
from stepdown.core.lock import LockedTask
from stepdown.core.request import Context, Request
from stepdown.core.requesting import read_answer
from stepdown.core.suite import (
    VERSION,
    Difference,
    Pinned,
    Rule,
    Suite,
    difference,
    judged,
    rule_for,
    told,
    tolerance_of,
)
from stepdown.core.task import Task
from stepdown.errors import DataError, ModelError
from stepdown.evals.asking import ask_of
from stepdown.evals.dataset import Sample
from stepdown.evals.limiting import drawn
from stepdown.ports.model import Model, steady
from stepdown.wiring.evaluating import NETWORKED
from stepdown.wiring.machine import this_machine
from stepdown.wiring.policy_shape import reachable
from stepdown.wiring.workspace import Workspace

INPUTS = 20
CONDITIONS = "one input at a time, every prompt read anew, temperature 0"
REQUEST_BYTES = 64_000  # a longer request (images) is kept by reference, whatever the consent


class Played(Struct, frozen=True, kw_only=True):
    """How a suite went: of `asked` rows `differ` differ, `first` is the first of them.

    `left_out` rows are gone or changed, `unjudged` cannot be judged on this machine.
    """

    rule: Rule
    tolerance: float
    asked: int
    differ: int = 0
    first: Difference | None = None
    left_out: int = 0
    unjudged: int = 0

    @property
    def same(self) -> bool:
        """Whether every row that was judged is answered as it was."""
        return self.differ == 0


def pinnable(workspace: Workspace, task: Task, tier: str) -> bool:
    """Tell whether a tier answers from a file in this process, so that a suite says something."""
    one = workspace.tiers[tier]
    return one.adapter not in NETWORKED and not one.recorded and task.kind != "embed"


async def pin(
    workspace: Workspace, task: Task, tier: str, model: Model | None = None, n: int = INPUTS
) -> Suite:
    """Ask a tier, or a model in its place, some train rows, and write what it says.

    Raises:
        DataError: there are no train rows.
        ModelError: the model failed on every row.
    """
    asked = model or workspace.model(task, tier)
    still = steady(asked)
    samples = drawn(workspace.part(task, "train"), n)
    if not samples:
        raise DataError(f"{task.name} has no train rows to pin.", "See [data] in stepdown.toml.")
    try:
        rows = [await _pinned(task, tier, still, one) for one in samples]
    finally:
        if still is not asked:
            await still.aclose()
    suite = Suite(
        version=VERSION,
        task=task.name,
        tier=tier,
        model=workspace.tiers[tier].model,
        digest=asked.digest,
        date=workspace.environment.today.isoformat(),
        conditions=CONDITIONS,
        machine=this_machine(),
        rows=tuple(rows),
    )
    name = write_suite(workspace.models.registry.folder, suite)
    _note(workspace, suite, name)
    return suite


def _note(workspace: Workspace, suite: Suite, name: str) -> None:
    """Say in the registry where the suite of an artifact is."""
    registry = workspace.models.registry
    for artifact in registry.all():
        mine = (artifact.task, artifact.tier) == (suite.task, suite.tier)
        if mine and suite.digest in (artifact.digest, artifact.answers_as):
            registry.update(replace(artifact, suite=name))


async def _pinned(task: Task, tier: str, model: Model, sample: Sample) -> Pinned:
    request = ask_of(task, tier, sample, model.capabilities)
    answer, probs = await _answered(task, tier, model, request, sample)
    return Pinned(
        sample=sample.id,
        request_digest=_digest(request),
        answer=answer,
        probs=probs,
        request=request if task.store == "full" and _is_short(request) else None,
    )


def _digest(request: Request) -> str:
    return digest(replace(request, id="", metadata={}))


def _is_short(request: Request) -> bool:
    return len(msgspec.json.encode(request)) <= REQUEST_BYTES


async def _answered(
    task: Task, tier: str, model: Model, request: Request, sample: Sample | None = None
) -> tuple[str, dict[str, float]]:
    """Return what a model says now; a failure is an answer too, by its kind."""
    try:
        done = await model.complete(request)
    except ModelError as error:
        return f"[{error.kind}]", {}
    read = read_answer(task, tier, done, Context() if sample is None else sample.context)
    return told(done, done.text if read.text is None else read.text)


async def play(
    workspace: Workspace, task: Task, suite: Suite, model: Model | None = None
) -> Played:
    """Ask the rows of a suite again, and judge them by the rule for this machine."""
    asked = model or workspace.model(task, suite.tier)
    still = steady(asked)
    rule = rule_for(suite, this_machine())
    tolerance = tolerance_of(suite, rule)
    samples = _samples(workspace, task, suite)
    found: list[Difference] = []
    n, left_out, unjudged = 0, 0, 0
    try:
        for row in suite.rows:
            request = _request(task, suite, row, still, samples)
            if request is None:
                left_out += 1
                continue
            if not judged(row, rule):
                unjudged += 1
                continue
            n += 1
            said = await _answered(task, suite.tier, still, request, samples.get(row.sample))
            wrong = difference(row, *said, tolerance)
            found += [wrong] if wrong is not None else []
    finally:
        if still is not asked:
            await still.aclose()
    return Played(
        rule=rule, tolerance=tolerance, asked=n, differ=len(found),
        first=found[0] if found else None, left_out=left_out, unjudged=unjudged,
    )  # fmt: skip


def _samples(workspace: Workspace, task: Task, suite: Suite) -> Mapping[str, Sample]:
    """Return the rows that the suite names only by their id; none where the data are gone."""
    wanted = {row.sample for row in suite.rows}
    if workspace.project.data is None:
        return {}
    return {one.id: one for one in workspace.samples(task) if one.id in wanted}


def _request(
    task: Task, suite: Suite, row: Pinned, model: Model, samples: Mapping[str, Sample]
) -> Request | None:
    if row.request is not None:
        return row.request
    sample = samples.get(row.sample)
    if sample is None:
        return None
    request = ask_of(task, suite.tier, sample, model.capabilities)
    return request if _digest(request) == row.request_digest else None


def suite_of(workspace: Workspace, task: str, tier: str, digest: str) -> Suite | None:
    """Return the suite that was pinned for a tier with a digest; raises what reading it raises."""
    return read_suite(workspace.models.registry.folder, task, tier, digest)


def called(locked: LockedTask) -> tuple[str, ...]:
    """Return the tiers that a locked policy can call or let polish; the others answer nothing."""
    actions = [action for row in reachable(locked.policy) for action in row.actions]
    wanted = {action.target for action in actions if action.kind in ("call", "polish")}
    return tuple(tier for tier in locked.policy.tiers if tier in wanted)


async def pin_locked(
    workspace: Workspace, tasks: Sequence[str] = (), n: int = INPUTS, *, again: bool = False
) -> tuple[Suite, ...]:
    """Pin the tiers that locked policies call and that have no suite yet, all of them `again`."""
    lock, found = workspace.lock(), []
    for name in tasks or lock.tasks:
        task, locked = workspace.project.tasks.get(name), lock.tasks.get(name)
        if task is None or locked is None:
            continue
        for tier in called(locked):
            if tier not in workspace.tiers or not pinnable(workspace, task, tier):
                continue
            known = suite_of(workspace, name, tier, workspace.model(task, tier).digest)
            if known is None or again:
                found.append(await pin(workspace, task, tier, n=n))
    return tuple(found)
