"""What the ledger holds about one task's certificate, as the values that a review reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from stepdown.adapters.storage.evidence import TaskEvidence
from stepdown.adapters.storage.ledger import SpoolLedger
from stepdown.core.beside import Change, Shadow, Tally
from stepdown.core.lock import Lock, LockedTask, task_digest
from stepdown.errors import DataError, LockError
from stepdown.review.measuring import closings
from stepdown.review.seen import Audit, Day, FirstCall, Said, Seen
from stepdown.wiring.lockfile import LOCKS, read_lock
from stepdown.wiring.workspace import Workspace

HOUR = len("2026-11-22T10")


def locks_with(workspace: Workspace, lock: Lock, task: str) -> tuple[str, ...]:
    """Return the digests of this lock and of kept locks that certify the task just as it does.

    A lock that changes only other tasks does not end this task's evidence.
    """
    mine = task_digest(lock.tasks[task])
    found = {lock.digest}
    for path in (workspace.project.state / LOCKS).glob("*.lock"):
        try:
            kept = read_lock(path)
        except LockError:
            continue
        if task in kept.tasks and task_digest(kept.tasks[task]) == mine:
            found.add(kept.digest)
    return tuple(sorted(found))


def seen_of(workspace: Workspace, lock: Lock, task: str, now: str) -> Seen:
    """Return what production showed of a task under its certificate; nothing without a ledger.

    It does not empty the spool: a gateway fills the ledger twice a second.
    """
    path = workspace.ledger_path / "ledger.sqlite"
    locks = locks_with(workspace, lock, task)
    try:
        evidence = TaskEvidence(path, task, locks)
        usd, unknown = evidence.spent(f"{now[:8]}01")
        stores = workspace.project.keeping[task].store != "none"
        found = _stored(evidence, lock.tasks[task])
        if not stores:
            found = _tallied(evidence, lock.tasks[task], _since(workspace, locks))
    except DataError:
        return Seen()
    return replace(found, usd_this_month=usd, usd_unknown=unknown)


def _stored(evidence: TaskEvidence, locked: LockedTask) -> Seen:
    audits = tuple(_audit(one) for one in evidence.audits())
    tier = "" if locked.watched is None else locked.watched.tier
    rows = evidence.days(closings(audits), locked.policy.ceiling)
    outside = evidence.outside()
    said = tuple(evidence.said())
    return Seen(
        audits=audits,
        calls=tuple(_call(row) for row in (evidence.calls(tier) if tier else ())),
        said=tuple(
            Said(trace_id=one.trace_id, at=one.at, by=one.by, score=one.score, label=one.label)
            for one in said
        ),
        comments=sum(one.comment is not None for one in said),
        days=_days(rows),
        requests=sum(row["n"] for row in outside),
        covered=sum(row["requests"] for row in rows),
        kept=sum(row["kept"] or 0 for row in rows),
        outside={row["reason"]: row["n"] for row in outside if row["reason"] is not None},
    )


def _tallied(evidence: TaskEvidence, locked: LockedTask, since: str) -> Seen:
    audits = tuple(_of_tally(one) for one in evidence.tallied(since))
    rows = evidence.tallied_days(since, closings(audits), locked.policy.ceiling)
    covered = sum(row["requests"] for row in rows)
    return Seen(
        audits=audits,
        days=_days(rows),
        requests=covered,
        covered=covered,
        kept=sum(row["kept"] or 0 for row in rows),
        tallied=True,
    )


def _days(rows: Sequence[dict[str, object]]) -> tuple[Day, ...]:
    return tuple(
        Day(
            day=str(row["day"]),
            requests=int(str(row["requests"])),
            open=int(str(row["open"] or 0)),
            open_kept=int(str(row["open_kept"] or 0)),
        )
        for row in rows
    )


def _audit(one: Shadow) -> Audit:
    return Audit(
        trace_id=one.trace_id,
        at=one.at,
        group=one.session or one.input_digest or one.trace_id,
        propensity=one.propensity or 1.0,
        loss=one.loss,
        why_not=one.why_not,
        confidence=one.confidence,
        tier=one.caller_tier,
        input=one.input,
        kept=one.caller_answer,
        ceiling=one.answer,
    )


def _of_tally(one: Tally) -> Audit:
    return Audit(
        trace_id=one.id,
        at=f"{one.hour}:00:00+00:00",
        group=one.id,
        propensity=one.propensity or 1.0,
        loss=one.loss,
        why_not=one.why_not,
        tier=one.answered_by,
    )


def _call(row: dict[str, object]) -> FirstCall:
    agree = row["tiers_agree"]
    return FirstCall(
        trace_id=str(row["id"]),
        at=str(row["at"]),
        group=str(row["session"] or row["id"]),
        confidence=_number(row["confidence"]),
        familiarity=_number(row["familiarity"]),
        agree=None if agree is None else bool(agree),
    )


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _since(workspace: Workspace, locks: Sequence[str]) -> str:
    """The hour in which one of these locks was first served: a tally does not know its lock."""
    with SpoolLedger(Path(workspace.ledger_path), fill_every_s=None) as ledger:
        served = [
            one.at for one in ledger.records(Change) if one.what == "lock" and one.after in locks
        ]
    return min(served)[:HOUR] if served else "9999"
