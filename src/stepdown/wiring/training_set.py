"""The training set of a task, gathered from the project: what it is made of, and its card."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from msgspec import Struct

from stepdown.core.task import Task
from stepdown.errors import DataError
from stepdown.evals.duplicates import Joined, join_near
from stepdown.ports.trainer import Example, TrainingSet
from stepdown.train.composing import set_of, thin
from stepdown.train.data_card import DataCard, Refused
from stepdown.wiring.workspace import Workspace


class Gathered(Struct, frozen=True):
    """A training set with its card."""

    data: TrainingSet
    card: DataCard


def gather(workspace: Workspace, task: Task) -> Gathered:
    """Return what may be learned for a task: the train part of the project's one split.

    Raises:
        ConfigError: no data are configured.
        DataError: a row is wrong, or nothing is left to learn from.
    """
    examples = from_set(workspace, task)
    thinned = thin(examples, clusters_of(examples))
    if not thinned.kept:
        raise DataError(
            f"There is nothing to train {task.name!r} on.", "Add labelled rows; see [data]."
        )
    data = set_of(thinned.kept)
    return Gathered(data, _card(task, data, len(thinned.duplicates), ()))


def from_set(workspace: Workspace, task: Task) -> list[Example]:
    """Return the labelled rows of the train part."""
    source = "ceiling" if task.reference_is == "ceiling" else "set"
    return [
        Example(
            id=row.id,
            input=row.input,
            answer=row.reference,
            group=row.group or row.id,
            source=source,  # type: ignore[arg-type]
        )
        for row in workspace.part(task, "train")
        if row.reference is not None
    ]


def clusters_of(examples: Sequence[Example]) -> dict[str, str]:
    """Return id -> the id of the first example that says almost the same."""
    joined = Joined(len(examples))
    join_near(joined, [example.input for example in examples])
    return {example.id: examples[joined.find(i)].id for i, example in enumerate(examples)}


def _card(task: Task, data: TrainingSet, duplicates: int, refused: tuple[Refused, ...]) -> DataCard:
    rows = [*data.train, *data.validation]
    return DataCard(
        task=task.name,
        n=len(rows),
        n_validation=len(data.validation),
        groups=len({row.group for row in rows}),
        sources=dict(Counter(row.source for row in rows)),
        by_label=dict(sorted(Counter(r.answer for r in rows).items())) if task.labels else {},
        duplicates=duplicates,
        refused=refused,
        overlap=0,
        escalated=sum(row.escalated for row in rows),
        store=task.store,
        digest=data.digest,
    )
