"""What a review reads beside the rows: alarms that took a promise back, and trained candidates."""

from __future__ import annotations

from datetime import date, timedelta

from msgspec import Struct

from stepdown.core.artifact import Artifact
from stepdown.core.lock import LockedTask, task_digest
from stepdown.core.task import Task
from stepdown.wiring.evaluating import Watch
from stepdown.wiring.review_kept import kept_status
from stepdown.wiring.trying import Tried, Wish, try_model
from stepdown.wiring.withdrawals import path_of, read_withdrawals
from stepdown.wiring.workspace import Workspace


class Standing(Struct, frozen=True):
    """A withdrawal that stands: in words, and the last day before the traffic changed."""

    words: str
    before: str


class Candidate(Struct, frozen=True):
    """A trained model that nobody has promoted, beside what it would replace, on tune rows."""

    artifact: Artifact
    tried: Tried


def standing_alarm(workspace: Workspace, task: Task, was: LockedTask) -> Standing | None:
    """Return the alarm that took back what is locked, None where none did.

    Rows from before the change say nothing of the traffic of today, so they are not fresh.

    Raises:
        DataError: the file of withdrawals cannot be read.
    """
    found = read_withdrawals(path_of(workspace.project)).get(task.name)
    if found is None or found.task_digest != task_digest(was) or not found.steps_up:
        return None
    changed = _changed_on(workspace, task) or found.at[:10]
    before = date.fromisoformat(changed) - timedelta(days=1)
    serves = "the ceiling answers" if found.acts == "ceiling" else found.raised_words
    words = f"An alarm took the promise back on {found.at[:10]} ({found.reason}); {serves}."
    return Standing(words, before.isoformat())


def _changed_on(workspace: Workspace, task: Task) -> str | None:
    """Return the day on which the change most likely began, as the last status said."""
    status = kept_status(workspace)
    named = [one for one in status.tasks if one.task == task.name] if status else []
    days = [a.since[:10] for one in named for a in one.alarms if a.rings and a.since]
    return min(days, default=None)


async def tried_candidates(
    workspace: Workspace, task: Task, was: LockedTask, watch: Watch | None = None
) -> tuple[Candidate, ...]:
    """Try every artifact that was registered since the lock and that nobody has promoted.

    On tune rows, so the fresh rows stay unseen for the day on which one is promoted.
    """
    registry = workspace.models.registry
    found = []
    for artifact in registry.all():
        if _is_new(artifact, task, was) and registry.promoted(task.name, artifact.tier):
            wish = Wish(new=artifact.digest, rehearse=False)
            found.append(Candidate(artifact, await try_model(workspace, task, wish, watch)))
    return tuple(found)


def _is_new(artifact: Artifact, task: Task, was: LockedTask) -> bool:
    mine = artifact.task == task.name and artifact.tier in task.tiers
    return mine and artifact.state == "candidate" and artifact.date >= was.guarantee.date
