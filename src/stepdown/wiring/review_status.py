"""`review status`: what is known of every task's promise in production, read from the files.

`statuses` reads and changes nothing. What the last look wrote is in `review_kept`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

from stepdown.core.lock import Lock, task_digest
from stepdown.core.withdrawal import Withdrawal
from stepdown.errors import DataError
from stepdown.review.alarms import Chances
from stepdown.review.assessing import Asked, assess
from stepdown.review.status import Budgeted, Status, TaskStatus
from stepdown.review.withdrawing import Acts, Certificate
from stepdown.wiring.audit_purses import allowance
from stepdown.wiring.promise_words import guarantee_words
from stepdown.wiring.review_evidence import seen_of
from stepdown.wiring.withdrawals import path_of, read_withdrawals
from stepdown.wiring.workspace import Workspace


def statuses(
    workspace: Workspace, *, now: str | None = None, tasks: Sequence[str] = ()
) -> tuple[TaskStatus, ...]:
    """Return the status of each locked task of the project, of the named ones where any is named.

    Raises:
        LockError: there is no lock, or it was changed by hand.
        DataError: the file of withdrawals cannot be read.
    """
    lock, at = workspace.lock(), now or _now()
    standing = read_withdrawals(path_of(workspace.project))
    names = [n for n in lock.tasks if n in workspace.project.tasks and (not tasks or n in tasks)]
    return tuple(_status(workspace, lock, name, standing.get(name), at) for name in names)


def status(workspace: Workspace, *, now: str | None = None, tasks: Sequence[str] = ()) -> Status:
    """Return the status of all tasks with its time and lock, what waits in the spool included."""
    with suppress(DataError), workspace.kept_ledger() as ledger:
        ledger.flush()
    at = now or _now()
    return Status(
        at=at, lock=workspace.lock().digest, tasks=statuses(workspace, now=at, tasks=tasks)
    )


def _status(
    workspace: Workspace, lock: Lock, name: str, standing: Withdrawal | None, now: str
) -> TaskStatus:
    locked, keys = lock.tasks[name], workspace.project.review
    seen = seen_of(workspace, lock, name, now)
    asked = Asked(
        certificate=Certificate(name, task_digest(locked), lock.digest),
        locked=locked,
        promise=guarantee_words(locked.guarantee, locked.policy.ceiling),
        chances=Chances(keys.alpha, keys.alpha_signs, keys.horizon_days),
        acts=Acts(keys.on_alarm, keys.on_sign),
        budget=_budget(workspace, name, seen.usd_this_month, seen.usd_unknown, now),
        standing=standing,
        now=now,
    )
    return assess(asked, seen)


def _budget(workspace: Workspace, task: str, usd: float | None, unknown: int, now: str) -> Budgeted:
    keys = workspace.project.serve.audit
    if keys is None:
        return Budgeted(usd_this_month=usd, unknown=unknown)
    said = keys.for_task(task)
    limit = said.usd_per_month
    today = datetime.fromisoformat(now).date()
    return Budgeted(
        share=said.share or 0.0,
        usd_this_month=usd,
        unknown=unknown,
        usd_per_month=limit,
        usd_allowed_today=None if limit is None else allowance(limit, today),
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
