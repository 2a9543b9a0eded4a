"""Texts that shadow runs kept, as unlabelled rows: a random sample of what was really asked.

`pool = "shadow"` under [data] names them. All shadow runs are rows, agreeing ones too: labels are
asked only where answers differ, and the test counts the rest as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress

from stepdown.adapters.tables.rows import read_rows
from stepdown.core.beside import Shadow
from stepdown.core.task import Task
from stepdown.errors import DataError
from stepdown.wiring.workspace import SHADOW_POOL, Workspace

Row = tuple[int, Mapping[str, object]]


def pool_rows(workspace: Workspace, task: Task) -> Iterator[Row]:
    """Yield the unlabelled rows of a task with their line numbers.

    Raises:
        DataError: the file cannot be read.
    """
    keys = workspace.project.data
    if keys is None or keys.pool is None:
        return
    if keys.pool == SHADOW_POOL:
        yield from enumerate(shadow_rows(workspace, task), 1)
    else:
        yield from read_rows(workspace.project.root / keys.pool)


def shadow_rows(workspace: Workspace, task: Task) -> Iterator[Mapping[str, object]]:
    """Yield the texts that shadow runs of a task kept, under the columns of the labelled rows.

    Where rows have a group, the session is theirs, else each request is one of its own.
    """
    keys = workspace.project.data
    assert keys is not None
    with suppress(DataError), workspace.kept_ledger() as ledger:
        for one in ledger.records(Shadow, task=task.name):
            if one.ran == "policy" and one.input is not None:
                row = {keys.id: one.trace_id, keys.input: one.input}
                more = {} if keys.group is None else {keys.group: one.session or one.trace_id}
                yield {**row, **more}
