"""The pool: rows of real traffic that nobody has labelled, for `label` and for `certify`.

Only rows that resemble nothing in the train and tune parts are taken, so that they can certify.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from stepdown.config.schema import DataKeys
from stepdown.core.judgement import Settled, settle
from stepdown.core.outcome import Outcome
from stepdown.core.task import Task
from stepdown.errors import ConfigError, DataError
from stepdown.evals.dataset import Sample
from stepdown.evals.split import group_samples, regrouped
from stepdown.wiring.evaluating import Watch, run_one
from stepdown.wiring.pool_labels import labels_of
from stepdown.wiring.shadow_pool import pool_rows
from stepdown.wiring.trained_on import trained_on
from stepdown.wiring.workspace import SHADOW_POOL, Workspace

PREFIX = "pool:"  # of the ids of its rows, so that they are never those of labelled rows


class Pool(Struct, frozen=True):
    """The pool's rows, each with its group; `left_out` resemble rows that chose the policies.

    `groups` holds the group of each certify row too, because a row of the pool may resemble one.
    """

    samples: tuple[Sample, ...]
    left_out: int
    groups: Mapping[str, str]


def pool_of(workspace: Workspace, task: Task) -> Pool:
    """Return the unlabelled rows of a task.

    Raises:
        ConfigError: no pool is configured, or the task reads its input elsewhere.
        DataError: a row that cannot be used, an id twice, or no row that can certify.
    """
    keys = workspace.project.data
    if keys is None or keys.pool is None:
        raise ConfigError(
            "stepdown.toml names no unlabelled rows.",
            'Write pool = "FILE" under [data]: rows with the same id and input columns; or '
            'pool = "shadow": what shadow runs kept.',
        )
    if task.name in workspace.project.inputs:
        raise ConfigError(
            f"The task {task.name!r} has `inputs`; a pool cannot feed it.",
            "Label rows for it by hand and add them to [data].",
        )
    fresh = tuple(_rows(workspace, task, keys, keys.pool))
    if not fresh and keys.pool == SHADOW_POOL:
        raise DataError(
            f"No shadow run of {task.name!r} has kept its text.",
            'Serve it in shadow with store = "sample" or "full".',
        )
    if not fresh:
        raise DataError(f"{keys.pool} holds no rows.", "Put unlabelled messages there.")
    pool = _apart(workspace, task, fresh)
    if not pool.samples:
        raise DataError(
            f"All {len(fresh)} rows of {keys.pool} resemble train or tune rows.",
            "A row that chose a policy cannot test it: put other messages there.",
        )
    return pool


def _rows(workspace: Workspace, task: Task, keys: DataKeys, name: str) -> Iterator[Sample]:
    lines: dict[str, int] = {}
    for line, row in pool_rows(workspace, task):
        query, text = row.get(keys.id), row.get(keys.input)
        if query is None or not isinstance(text, str) or not text.strip():
            raise DataError(
                f"{name}, line {line}: needs {keys.id!r} and a text {keys.input!r}.",
                "Correct the line; the columns are those of the labelled rows.",
            )
        if lines.setdefault(str(query), line) != line:
            first = lines[str(query)]
            raise DataError(
                f"{name}, line {line}: the id {query!r} stands on line {first} too.",
                "Every row needs an id of its own: labels are kept by it.",
            )
        yield Sample(
            id=f"{PREFIX}{query}", input=text, reference=None, group=_group(keys, name, line, row)
        )


def _group(keys: DataKeys, name: str, line: int, row: Mapping[str, object]) -> str | None:
    if keys.group is None:
        return None
    if row.get(keys.group) is None:
        raise DataError(
            f"{name}, line {line}: needs the group {keys.group!r}.",
            "Rows of one group depend on each other, so each row must say which it is of.",
        )
    return str(row[keys.group])


def _apart(workspace: Workspace, task: Task, fresh: Sequence[Sample]) -> Pool:
    """Leave out rows that share a group with what trained or chose, and group the rest anew."""
    keys = workspace.project.data
    by_group = keys is not None and keys.group is not None
    parts = workspace.whole_split.parts
    old = [*parts["train"], *parts["tune"], *trained_on(workspace, task)]
    near = group_samples([*old, *fresh], by_group=by_group)
    spent = {near[sample.id] for sample in old}
    kept = [sample for sample in fresh if near[sample.id] not in spent]
    groups = group_samples([*parts["certify"], *kept], by_group=by_group)
    return Pool(regrouped(kept, groups), len(fresh) - len(kept), groups)


async def pool_outcomes(
    workspace: Workspace, task: Task, pool: Pool, watch: Watch | None = None
) -> tuple[Outcome, ...]:
    """Ask every tier about the pool; kept calls are not asked again. Nothing is scored."""
    found: list[Outcome] = []
    for tier in task.tiers:
        found += (await run_one(workspace, task, tier, pool.samples, watch)).outcomes
    return tuple(found)


def settled(workspace: Workspace, task: Task) -> Settled:
    """Return what the labellers of a task agree on."""
    return settle(labels_of(workspace, task).read())
