"""Tasks whose answers are scored in a second pass, once all are there: by a judge, or as vectors.

Their answers are kept first, unscored. Every other task is scored answer by answer in the harness.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from stepdown.core.outcome import Outcome
from stepdown.core.task import Task
from stepdown.evals.dataset import Sample
from stepdown.evals.judge_figures import JudgeFigures
from stepdown.evals.purse import Purse
from stepdown.evals.record import Finished
from stepdown.evals.vector_figures import VectorFigures
from stepdown.ports.run_store import RunRow
from stepdown.wiring.evaluating import Watch
from stepdown.wiring.judging import judged_outcomes
from stepdown.wiring.ranking import ranked_outcomes
from stepdown.wiring.workspace import Workspace

Figures = JudgeFigures | VectorFigures | None


def scored_later(task: Task) -> bool:
    """Tell whether a task's answers are scored in a second pass."""
    return task.judge is not None or task.kind == "embed"


def as_asked(task: Task, samples: Sequence[Sample]) -> tuple[Sample, ...]:
    """Return the samples as the tiers' run takes them: unscored where a second pass follows."""
    if not scored_later(task):
        return tuple(samples)
    return tuple(replace(sample, reference=None) for sample in samples)


async def scored_outcomes(
    workspace: Workspace,
    task: Task,
    samples: Sequence[Sample],
    outcomes: Sequence[Outcome],
    watch: Watch | None = None,
    purse: Purse | None = None,
) -> tuple[tuple[Outcome, ...], Figures]:
    """Return the outcomes with the scores of a second pass, and what it tells of itself.

    They come back as they are where the harness has scored them.
    """
    money = purse or Purse()
    if task.judge is not None:
        return await judged_outcomes(workspace, task, task.judge, samples, outcomes, watch, money)
    if task.kind == "embed":
        return await ranked_outcomes(workspace, task, samples, outcomes, money)
    return tuple(outcomes), None


class Held:
    """The answers of a run that wait for the second pass; nothing is held where there is none."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._rows: list[tuple[int, RunRow, Outcome]] = []

    def add(self, number: int, row: RunRow, outcome: Outcome) -> None:
        """Hold the row and the outcome of sample number `number`."""
        if scored_later(self._task):
            self._rows.append((number, row, outcome))

    async def score(
        self,
        workspace: Workspace,
        samples: Sequence[Sample],
        finished: Sequence[Finished],
        purse: Purse,
        watch: Watch | None,
    ) -> Figures:
        """Score what is held, and put the scores into the tallies of the tiers."""
        outcomes = [outcome for _, _, outcome in self._rows]
        found, figures = await scored_outcomes(
            workspace, self._task, samples, outcomes, watch, purse
        )
        tallies = {each.run.tier: each.tally for each in finished}
        for (number, row, _), outcome in zip(self._rows, found, strict=True):
            tallies[outcome.tier].put(number, replace(row, score=outcome.score))
        return figures
