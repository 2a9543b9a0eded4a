"""What the last look at a promise found, as the dashboard shows it."""

from __future__ import annotations

from stepdown.core.board import AuditBoard
from stepdown.core.lock import Estimate
from stepdown.core.withdrawal import Withdrawal
from stepdown.review.status import Alarm, Measured, TaskStatus

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
