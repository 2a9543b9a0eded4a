"""What must be said of a pipeline: how inputs are made, what is replaced, what is odd in rows."""

from __future__ import annotations

from collections.abc import Sequence

from stepdown.certify.messages import StepCase
from stepdown.certify.pipelines import feeders
from stepdown.config.project import Project
from stepdown.config.schema import PipelineKeys
from stepdown.core.policy import polished
from stepdown.core.task import Promise


def input_words(keys: PipelineKeys) -> tuple[str, ...]:
    """Say how the inputs of the steps must be made for the promise to hold."""
    return tuple(
        f"The input of {step} is made of the answers of {', '.join(feeders(takes))}, as `takes` "
        "says."
        for step, takes in keys.takes.items()
    )


def warnings(project: Project, name: str, steps: Sequence[StepCase]) -> tuple[str, ...]:
    """Return what a person should know before trusting what came of a pipeline."""
    return (
        *_replaced(project, name),
        *(
            f"{step.task.name}: no draft is polished, because none that is could be tested."
            for step in steps
            if not _polishes(step)
        ),
        *(f"{step.task.name}: {one}" for step in steps for one in step.case.warnings),
    )


def _replaced(project: Project, name: str) -> tuple[str, ...]:
    own = [project.task(step) for step in project.promised[name].steps]
    written = [task.name for task in own if task.promise != Promise()]
    if not written:
        return ()
    whose = ", ".join(written)
    return (f"The promise of {name!r} takes the place of what {whose} would promise alone.",)


def _polishes(step: StepCase) -> bool:
    """Say whether what `finish` asks for was measured: a step that is fed must get what is sent."""
    task, by = step.task, step.task.polish_by or step.task.ceiling
    measured = step.case.table.score
    return task.finish == "never" or any(polished(tier, by) in measured for tier in task.tiers)
