"""From alarms to a withdrawal: the first alarm takes the promise back, until another certificate.

Pure. Asked again about the same certificate it says the same, whatever has come since.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from stepdown.core.lock import LockedTask
from stepdown.core.policy import confidence_of
from stepdown.core.withdrawal import Withdrawal
from stepdown.review.promised import Limit
from stepdown.review.raising import plain_threshold, raised_threshold
from stepdown.review.seen import Audit
from stepdown.review.status import Alarm, Example, evidence_words

Does = Literal["step_up", "warn"]
TELLING = 10


class Acts(Struct, frozen=True):
    """What alarms do: those on loss, and those without labels."""

    loss: Does = "step_up"
    signs: Does = "step_up"


class Certificate(Struct, frozen=True):
    """Which certificate is judged: the task's own digest, and the lock's."""

    task: str
    task_digest: str
    lock_digest: str


def withdrawal(
    certificate: Certificate,
    locked: LockedTask,
    rung: Sequence[Alarm],
    audits: Sequence[Audit],
    limit: Limit,
    acts: Acts,
    standing: Withdrawal | None,
    now: str,
) -> Withdrawal | None:
    """Return what holds of a task now: what stood, unless a graver alarm has rung since."""
    mine = standing if standing and standing.task_digest == certificate.task_digest else None
    ringing = [one for one in rung if one.rings]
    if not ringing or (mine is not None and mine.steps_up):
        return mine
    first = ringing[0]  # loss stands before the signs
    does = acts.loss if first.kind == "loss" else acts.signs
    graver = mine is not None and mine.kind != "loss" and first.kind == "loss"
    if mine is not None and does == "warn" and not graver:
        return mine
    made = Withdrawal(
        task=certificate.task,
        task_digest=certificate.task_digest,
        lock_digest=certificate.lock_digest,
        at=now,
        kind=first.kind,
        reason=reason(first),
        acts="warned" if does == "warn" else "ceiling",
        examples=tuple(one.trace_id for one in telling(audits)),
    )
    return made if does == "warn" else _stepped_up(made, locked, audits, limit, first)


def _stepped_up(
    made: Withdrawal,
    locked: LockedTask,
    audits: Sequence[Audit],
    limit: Limit,
    first: Alarm,
) -> Withdrawal:
    """Keep a part of the traffic below the ceiling where recent audits certify it."""
    tried = raised_threshold(locked, audits, limit, first.since)
    tier, _ = plain_threshold(locked.policy)
    if tried.threshold is None or tier is None:
        return replace(made, raised_words=tried.words)
    return replace(
        made,
        acts="raised",
        signal=confidence_of(tier),
        threshold=tried.threshold,
        raised_words=tried.words,
    )


def reason(alarm: Alarm) -> str:
    """Say in a sentence why an alarm rang."""
    seen = "" if alarm.seen is None else f"{alarm.seen:.1%} since {alarm.since}"
    allowed = "" if alarm.allowed is None else f", {alarm.allowed:.1%} is allowed"
    name = "answers that lose against the ceiling" if alarm.kind == "loss" else alarm.what
    sure = f"evidence {evidence_words(alarm)}" if alarm.alpha else ""
    return f"{name}: {seen}{allowed} ({alarm.votes:,} votes, {sure})"


def telling(audits: Sequence[Audit]) -> tuple[Audit, ...]:
    """Return the most telling audits: the largest losses, of these the surest, then the latest."""
    lost = [one for one in audits if one.loss]
    ranked = sorted(lost, key=lambda one: one.at, reverse=True)
    ranked.sort(key=lambda one: (-(one.loss or 0.0), -(one.confidence or 0.0)))
    return tuple(ranked[:TELLING])


def examples_of(audits: Sequence[Audit], withdrawn: Withdrawal | None) -> tuple[Example, ...]:
    """Return the examples of a withdrawal, as far as they are still there, else today's."""
    by_id: Mapping[str, Audit] = {one.trace_id: one for one in audits}
    named = withdrawn.examples if withdrawn is not None else ()
    found = [by_id[name] for name in named if name in by_id] or list(telling(audits))
    return tuple(
        Example(
            trace_id=one.trace_id,
            at=one.at,
            loss=one.loss,
            confidence=one.confidence,
            tier=one.tier,
            input=one.input,
            kept=one.kept,
            ceiling=one.ceiling,
        )
        for one in found
    )
