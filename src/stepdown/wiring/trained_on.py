"""Served requests that an expert learned from: they, and what resembles them, test nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from stepdown.core.task import Task
from stepdown.core.trace import Trace
from stepdown.errors import DataError
from stepdown.evals.dataset import Sample
from stepdown.wiring.registering import cards_of
from stepdown.wiring.workspace import Workspace


def trained_on(workspace: Workspace, task: Task) -> tuple[Sample, ...]:
    """Return the requests of a task that any registered artifact was trained on.

    Only those whose text the ledger still holds: without it nothing can be compared. Their ids are
    those of the traces, with a mark of their own.
    """
    ids = frozenset(i for card in cards_of(workspace, task) for i in card.traffic)
    return tuple(
        Sample(
            id=f"trained:{trace.id}",
            input=trace.input or "",
            reference=None,
            group=trace.session,
        )
        for trace in _traces(workspace, ids, task)
    )


def _traces(workspace: Workspace, ids: frozenset[str], task: Task) -> Iterator[Trace]:
    if not ids:
        return
    with suppress(DataError), workspace.kept_ledger() as ledger:
        for trace in ledger.traces(task=task.name):
            if trace.id in ids and trace.input is not None:
                yield trace
