"""The figures by kind of task, read back from the record of a run."""

from __future__ import annotations

from itertools import islice

import msgspec

from stepdown.core.outcome import Outcome
from stepdown.core.requesting import read_answer
from stepdown.core.task import Task
from stepdown.evals.kind_report import KindReport, kind_report, tells_more
from stepdown.evals.record import Case, cases
from stepdown.evals.scored_rows import Pair
from stepdown.ports.run_store import RunHead
from stepdown.wiring.workspace import Workspace

MOST = 100_000  # answers of a tier that are held in memory for these figures


def kinds_of(workspace: Workspace, task: Task, head: RunHead, *, most: int = MOST) -> KindReport:
    """Return what the kind of task has to say of each tier of a run; of a large run, its start."""
    if not tells_more(task):
        return KindReport()
    tiers = tuple(part.tier for part in head.parts)
    found = {
        tier: [
            _pair(task, tier, one) for one in islice(cases(workspace.runs, head, tier), most + 1)
        ]
        for tier in tiers
    }
    is_cut = any(len(each) > most for each in found.values())
    pairs = [pair for each in found.values() for pair in each[:most]]
    samples, outcomes = (one for one, _ in pairs), (one for _, one in pairs)
    made = kind_report(
        msgspec.structs.replace(task, tiers=tiers), samples, outcomes, seed=head.seed
    )
    return _cut(made, most) if is_cut else made


def _pair(task: Task, tier: str, case: Case) -> Pair:
    row, sample = case.row, case.sample
    outcome = Outcome(
        query_id=sample.id,
        tier=tier,
        score=row.score,
        failure=row.failure,
        answer=_answer(task, tier, case),
        group=sample.group,
    )
    return sample, outcome


def _answer(task: Task, tier: str, case: Case) -> str | None:
    """Return the canonical answer, or what was said where that cannot be used."""
    done = None if case.call is None else case.call.completion
    if done is None:
        return None
    return read_answer(task, tier, done, case.sample.context).text or done.text


def _cut(made: KindReport, most: int) -> KindReport:
    said = f"Of the first {most:,} answers of each tier."
    noted = (msgspec.structs.replace(one, notes=(*one.notes, said)) for one in made.tables)
    return KindReport(made.figures, tuple(noted))
