"""What the last look at a promise found, as the dashboard shows it."""

from __future__ import annotations

from collections.abc import Mapping

from stepdown.core.board import AuditBoard
from stepdown.core.lock import Estimate, Lock, LockedTask, task_digest
from stepdown.core.withdrawal import Withdrawal
from stepdown.errors import DataError
from stepdown.review.status import Alarm, Measured, TaskStatus
from stepdown.wiring.review_kept import kept_status
from stepdown.wiring.withdrawals import path_of, read_withdrawals
from stepdown.wiring.workspace import Workspace

_ACTS = {
    "ceiling": "the ceiling answers",
    "raised": "only answers above a higher threshold are kept",
    "warned": "nothing that is served was changed",
}


def audit_board(found: TaskStatus, at: str) -> AuditBoard:
    """Return the loss and the alarms of a task; `at` is when somebody looked."""
    seen = found.measured
    return AuditBoard(
        at=at,
        loss=_loss(seen),
        of=seen.of,
        against=seen.against,
        method=seen.method,
        allowed=seen.allowed,
        allowed_words=seen.allowed_words,
        ringing=tuple(_rings(one) for one in found.alarms if one.rings),
        watched=sum(not one.why_not for one in found.alarms),
    )


def _loss(seen: Measured) -> Estimate | None:
    if not seen.n:
        return None
    return Estimate(seen.value, seen.low, seen.high, seen.n, "share", "audits")


def _rings(alarm: Alarm) -> str:
    since = f", a change most likely since {alarm.since}" if alarm.since else ""
    return f"{alarm.kind} ({alarm.what}), since {alarm.first_day}{since}"


def withdrawal_words(taken: Withdrawal) -> str:
    """Return what an alarm did to a promise, and why."""
    word = "warned" if taken.acts == "warned" else "withdrawn"
    return f"{word} at {taken.at[:16]}: {taken.reason}; {_ACTS[taken.acts]}"


class Reviewed:
    """What alarms did, and what the last look at the promises of this lock found."""

    def __init__(self, workspace: Workspace, lock: Lock | None) -> None:
        self.problem = ""
        self._standing: Mapping[str, Withdrawal] = {}
        try:
            self._standing = read_withdrawals(path_of(workspace.project))
        except DataError as error:
            self.problem = f"{error.message} {error.hint}".strip()
        found = kept_status(workspace)
        is_ours = found is not None and lock is not None and found.lock == lock.digest
        self._found = found if is_ours else None

    def taken(self, name: str, locked: LockedTask) -> Withdrawal | None:
        """Return what an alarm did to a step as it is locked now."""
        one = self._standing.get(name)
        return one if one is not None and one.task_digest == task_digest(locked) else None

    def audit(self, name: str) -> AuditBoard | None:
        """Return what the last look found of a step, None where none did."""
        tasks = () if self._found is None else self._found.tasks
        one = next((task for task in tasks if task.task == name), None)
        return None if one is None or self._found is None else audit_board(one, self._found.at)
