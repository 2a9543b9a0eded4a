"""The kept answers of a ceiling that an eval did not ask, so that others have a measure.

It asks nothing and needs no key.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

from stepdown.core.outcome import Outcome
from stepdown.core.task import Task
from stepdown.evals.dataset import Sample
from stepdown.evals.tally import Tally
from stepdown.ports.run_store import RunRow
from stepdown.wiring.evaluating import ready
from stepdown.wiring.kept import kept_answers
from stepdown.wiring.keyless import Keyless
from stepdown.wiring.workspace import Workspace

AT_ONCE = 10_000  # samples that are held while their kept answers are read


async def kept_ceiling(
    workspace: Workspace, task: Task, samples: Iterable[Sample], n: int, repeat: int
) -> Tally | None:
    """Return the ceiling's kept answers to `n` samples as a tally, None where there is none."""
    quiet = Keyless(workspace.project, workspace.environment)
    if task.ceiling not in ready(quiet, task):
        return None
    tally, walk, put = Tally(n, repeat), iter(samples), 0
    try:
        for start in range(0, n, AT_ONCE):
            put += _fill(quiet, task, tally, start, tuple(islice(walk, AT_ONCE)))
    finally:
        await quiet.aclose()
    return tally if put else None


def _fill(
    workspace: Workspace, task: Task, tally: Tally, start: int, samples: Sequence[Sample]
) -> int:
    found = kept_answers(workspace, task, task.ceiling, samples)
    for i, sample in enumerate(samples, start):
        if sample.id in found:
            tally.put(i, _row(found[sample.id].outcome))
    return len(found)


def _row(one: Outcome) -> RunRow:
    return RunRow(
        sample_id=one.query_id,
        score=one.score,
        failure=one.failure,
        latency_s=one.latency_s,
        cost_usd=one.cost_usd,
        reused=True,
    )
