"""What earlier runs kept of a tier's answers to some samples, scored now; nothing is asked.

What a judge or a search scores in a second pass is taken from the newest run.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from stepdown.core.outcome import Outcome
from stepdown.core.request import Usage
from stepdown.core.task import Task
from stepdown.evals.asking import ask_of, call_key, scored
from stepdown.evals.dataset import Sample
from stepdown.evals.harness import ASKED_AGAIN
from stepdown.evals.record import cases
from stepdown.evals.scorers import scorer_of
from stepdown.wiring.workspace import Workspace


class Kept(Struct, frozen=True):
    """One kept answer: how it scores, and the tokens that it took."""

    outcome: Outcome
    usage: Usage | None


def kept_answers(
    workspace: Workspace, task: Task, tier: str, samples: Sequence[Sample]
) -> dict[str, Kept]:
    """Return sample id -> kept answer of a tier, for the samples that have one."""
    configured, model = workspace.tiers[tier], workspace.model(task, tier)
    calls, scorer = workspace.runs.calls(task.name, tier), scorer_of(task)
    found = {}
    for sample in samples:
        request = ask_of(task, tier, sample, model.capabilities)
        call = calls.get(call_key(request, model.digest, recorded=configured.recorded))
        if call is None or call.failure in ASKED_AGAIN:
            continue
        usage = None if call.completion is None else call.completion.usage
        one = scored(task, scorer, sample, tier, configured.price, call)
        found[sample.id] = Kept(one.outcome, usage)
    later = task.judge is not None or task.kind == "embed"
    return _by_run(workspace, task, tier, samples, found) if later else found


def _by_run(
    workspace: Workspace,
    task: Task,
    tier: str,
    samples: Sequence[Sample],
    found: dict[str, Kept],
) -> dict[str, Kept]:
    """Return the answers with the scores of the newest run, None where it has none."""
    runs = [run for run in workspace.runs.runs(task.name) if run.part(tier) is not None]
    told = cases(workspace.runs, runs[0], tier) if runs else ()
    scores = {(case.sample.id, case.sample.digest): case.row.score for case in told}
    return {
        sample.id: replace(
            found[sample.id],
            outcome=replace(
                found[sample.id].outcome, score=scores.get((sample.id, sample.digest)), failure=None
            ),
        )
        for sample in samples
        if sample.id in found
    }
