"""The pool: rows of real traffic that nobody has labelled, for `label` and for `certify`.

Only rows that resemble nothing in the train and tune parts are taken, so that they can certify.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
from msgspec import Struct

from stepdown.adapters.tables.judgement_files import JudgementFile
from stepdown.adapters.tables.rows import read_rows
from stepdown.core.judgement import Settled, settle
from stepdown.core.outcome import Outcome
from stepdown.core.task import Task
from stepdown.errors import ConfigError, DataError
from stepdown.evals.dataset import Sample
from stepdown.evals.split import group_samples
from stepdown.wiring.evaluating import Watch, run_one
from stepdown.wiring.workspace import Workspace


class Pool(Struct, frozen=True):
    """The pool's rows, each with its group; `left_out` resemble rows that chose the policies."""

    samples: tuple[Sample, ...]
    left_out: int


def pool_of(workspace: Workspace, task: Task) -> Pool:
    """Return the unlabelled rows of a task.

    Raises:
        ConfigError: no pool is configured, or the task reads its input elsewhere.
        DataError: a row without id or text, an id twice, or no row at all; names the line.
    """
    keys = workspace.project.data
    if keys is None or keys.pool is None:
        raise ConfigError(
            "stepdown.toml names no unlabelled rows.",
            'Write pool = "FILE" under [data]: rows with the same id and input columns.',
        )
    if task.name in workspace.project.inputs:
        raise ConfigError(f"The task {task.name!r} has `inputs`; a pool cannot feed it.")
    fresh = tuple(_rows(workspace, keys.pool))
    if not fresh:
        raise DataError(f"{keys.pool} holds no rows.", "Put unlabelled messages there.")
    return _apart(workspace, fresh)


def _rows(workspace: Workspace, name: str) -> Iterator[Sample]:
    keys = workspace.project.data
    assert keys is not None
    lines: dict[str, int] = {}
    for line, row in read_rows(workspace.project.root / name):
        query, text = row.get(keys.id), row.get(keys.input)
        if query is None or not isinstance(text, str) or not text.strip():
            raise DataError(f"{name}, line {line}: needs {keys.id!r} and a text {keys.input!r}.")
        if lines.setdefault(str(query), line) != line:
            first = lines[str(query)]
            raise DataError(f"{name}, line {line}: the id {query!r} stands on line {first} too.")
        group = None if keys.group is None else str(row.get(keys.group))
        yield Sample(id=f"pool:{query}", input=text, reference=None, group=group)


def _apart(workspace: Workspace, fresh: Sequence[Sample]) -> Pool:
    """Leave out rows that share a group with a train or tune row."""
    keys = workspace.project.data
    parts = workspace.whole_split.parts
    old = [sample for part in ("train", "tune") for sample in parts[part]]
    by_group = keys is not None and keys.group is not None
    groups = group_samples([*old, *fresh], by_group=by_group)
    spent = {groups[sample.id] for sample in old}
    kept = tuple(
        msgspec.structs.replace(sample, group=groups[sample.id])
        for sample in fresh
        if groups[sample.id] not in spent
    )
    return Pool(kept, len(fresh) - len(kept))


async def pool_outcomes(
    workspace: Workspace, task: Task, watch: Watch | None = None
) -> tuple[Outcome, ...]:
    """Ask every tier about the pool; kept calls are not asked again. Nothing is scored."""
    samples = pool_of(workspace, task).samples
    found: list[Outcome] = []
    for tier in task.tiers:
        found += (await run_one(workspace, task, tier, samples, watch)).outcomes
    return tuple(found)


def labels_of(workspace: Workspace, task: Task) -> JudgementFile:
    """Return where the labels of a task are kept; they are worth committing."""
    return JudgementFile(workspace.project.root / "labels", task.name)


def settled(workspace: Workspace, task: Task) -> Settled:
    """Return what the labellers of a task agree on."""
    return settle(labels_of(workspace, task).read())
