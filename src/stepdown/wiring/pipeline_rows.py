"""The rows of a pipeline: messages with references in every step, and what each step tunes on."""

from __future__ import annotations

from collections.abc import Sequence

from stepdown.certify.case import FEWEST
from stepdown.certify.pipelines import feeders
from stepdown.config.schema import PipelineKeys
from stepdown.core.task import Task
from stepdown.errors import DataError
from stepdown.evals.dataset import Sample
from stepdown.wiring.workspace import Workspace


def complete(workspace: Workspace, name: str, tasks: Sequence[Task], part: str) -> tuple[str, ...]:
    """Return the messages of a part that have a reference in every step.

    Raises:
        DataError: there are too few; names the step that has the fewest.
    """
    held = {task.name: {sample.id for sample in workspace.part(task, part)} for task in tasks}
    both = set.intersection(*held.values())
    if len(both) < FEWEST:
        poorest = min(held, key=lambda step: len(held[step]))
        raise DataError(
            f"Only {len(both)} {part} messages of the pipeline {name!r} have references in every "
            f"step; at least {FEWEST} are needed. The step {poorest!r} has the fewest: "
            f"{len(held[poorest])}.",
            f"Add references of {poorest!r} for messages that the other steps have references of.",
        )
    return tuple(s.id for s in workspace.whole_split.parts[part] if s.id in both)


def certify_samples(workspace: Workspace, task: Task, ids: Sequence[str]) -> tuple[Sample, ...]:
    """Return a task's certify rows of some messages, in their order."""
    own = {sample.id: sample for sample in workspace.part(task, "certify")}
    return tuple(own[query] for query in ids)


def tune_samples(
    workspace: Workspace, keys: PipelineKeys, tasks: Sequence[Task]
) -> dict[str, tuple[Sample, ...]]:
    """Return the tune rows of each step: its own, and those that a step it feeds needs."""
    found: dict[str, dict[str, Sample]] = {}
    for task in reversed(tasks):
        own = {sample.id: sample for sample in workspace.part(task, "tune")}
        fed = [step for step, takes in keys.takes.items() if task.name in feeders(takes)]
        needed = dict.fromkeys(query for step in fed for query in found[step])
        texts = workspace.inputs(task) if needed else {}
        for query in needed:
            if query not in own and query in texts:
                own[query] = _unscored(workspace, query, texts[query])
        found[task.name] = own
    return {name: tuple(rows.values()) for name, rows in found.items()}


def _unscored(workspace: Workspace, query: str, text: str) -> Sample:
    group = workspace.whole_split.groups[query]
    return Sample(id=query, input=text, reference=None, group=group)
