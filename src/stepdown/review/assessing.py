"""One task, assessed: what was seen becomes figures, alarms, a withdrawal, and notes in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date

from msgspec import Struct

from stepdown.core.lock import LockedTask
from stepdown.core.withdrawal import Withdrawal
from stepdown.review.alarms import Chances, alarms
from stepdown.review.joining import Joined, joined
from stepdown.review.measuring import closings, measured
from stepdown.review.promised import limit_of
from stepdown.review.seen import Audit, Seen
from stepdown.review.status import Alarm, Budgeted, Evidenced, Measured, State, TaskStatus
from stepdown.review.votes import DAY, Votes, votes_of
from stepdown.review.withdrawing import Acts, Certificate, examples_of, withdrawal

GAP_DAYS = 7


class Asked(Struct, frozen=True, kw_only=True):
    """What is asked of a task: its certificate, its promise in words, the rules, and the time."""

    certificate: Certificate
    locked: LockedTask
    promise: str
    chances: Chances = Chances()
    acts: Acts = Acts()
    budget: Budgeted = Budgeted()
    standing: Withdrawal | None = None
    now: str


def assess(asked: Asked, seen: Seen) -> TaskStatus:
    """Return the status of a task. The same records and time give the same status."""
    locked = asked.locked
    limit = limit_of(locked.guarantee, locked.watched, asked.chances.loss)
    told = joined(seen.audits, seen.said)
    audit_votes, call_votes = votes_of(told.audits, asked.now), votes_of(seen.calls, asked.now)
    rung = alarms(locked, audit_votes, call_votes, asked.chances)
    withdrawn = withdrawal(
        asked.certificate, locked, rung, told.audits, limit, asked.acts, asked.standing, asked.now
    )
    found = measured(told.audits, seen.days, limit)
    unfamiliar, n = _unfamiliar(locked, seen)
    left = _days_left(locked, asked.now)
    return TaskStatus(
        task=asked.certificate.task,
        state=_state(locked, left, withdrawn),
        promise=asked.promise,
        level=locked.guarantee.level,
        review_by=locked.guarantee.review_by,
        days_left=left,
        certified_on=locked.guarantee.date,
        evidence=_evidence(seen, told),
        measured=found,
        alarms=rung,
        withdrawal=withdrawn,
        examples=examples_of(told.audits, withdrawn),
        outside=seen.outside,
        outside_share=sum(seen.outside.values()) / seen.requests if seen.requests else None,
        unfamiliar=unfamiliar,
        unfamiliar_n=n,
        budget=asked.budget,
        notes=_notes(asked, seen, (audit_votes, call_votes), rung, found),
    )


def _state(locked: LockedTask, days_left: int | None, withdrawn: Withdrawal | None) -> State:
    if withdrawn is not None and withdrawn.steps_up:
        return "withdrawn"
    stated = locked.guarantee.state
    return "overdue" if stated == "certified" and (days_left or 0) < 0 else stated


def _days_left(locked: LockedTask, now: str) -> int | None:
    due = locked.guarantee.review_by
    return (date.fromisoformat(due) - date.fromisoformat(now[:DAY])).days if due else None


def _evidence(seen: Seen, told: Joined) -> Evidenced:
    times = [*(one.at for one in seen.audits), *(one.at for one in seen.calls)]
    missed = Counter(one.why_not for one in seen.audits if one.loss is None)
    return Evidenced(
        requests=seen.requests,
        kept=seen.kept,
        drawn=len(seen.audits),
        audited=sum(one.loss is not None and not one.by_ceiling for one in seen.audits),
        by_ceiling=sum(one.by_ceiling for one in seen.audits),
        missed=dict(missed.most_common()),
        labels=sum(one.label is not None for one in seen.said),
        scores=sum(one.score is not None for one in seen.said),
        joined=told.joined,
        replaced=told.replaced,
        conflicts=told.conflicts,
        first_at=min(times, default=None),
        last_at=max(times, default=None),
    )


def _unfamiliar(locked: LockedTask, seen: Seen) -> tuple[float | None, int]:
    """The share of inputs less familiar than nine in ten of those that were certified."""
    marked = None if locked.watched is None else locked.watched.signals.get("familiarity")
    known = [one.familiarity for one in seen.calls if one.familiarity is not None]
    if marked is None or not known:
        return None, 0
    return sum(one < marked.cuts[0] for one in known) / len(known), len(known)


def _notes(
    asked: Asked, seen: Seen, votes: tuple[Votes, Votes], rung: Sequence[Alarm], found: Measured
) -> tuple[str, ...]:
    made = (
        _silent(asked, seen),
        _turned(votes),
        _flooded(votes),
        _closed(seen.audits, found),
        _tallied(seen),
        _split(rung),
    )
    return tuple(note for note in made if note)


def _silent(asked: Asked, seen: Seen) -> str:
    last = max([*(one.at for one in seen.audits), *(one.at for one in seen.calls)], default=None)
    if last is None:
        return "Nothing was seen under this certificate yet: no alarm can ring."
    days = (date.fromisoformat(asked.now[:DAY]) - date.fromisoformat(last[:DAY])).days
    if days < GAP_DAYS:
        return ""
    return f"Nothing came for {days} days, since {last[:DAY]}: the evidence stands as it was."


def _turned(votes: tuple[Votes, Votes]) -> str:
    ahead, turned = sum(v.ahead for v in votes), sum(v.turned_back for v in votes)
    said = []
    if ahead:
        said.append(f"{ahead} records are dated after now and wait; is the clock right?")
    if turned:
        said.append(
            f"The clock went back: {turned} records count on the day of those that arrived "
            "before them."
        )
    return " ".join(said)


def _flooded(votes: tuple[Votes, Votes]) -> str:
    repeated = sum(v.repeated for v in votes)
    shares = [v.flood for v in votes if v.flood is not None]
    if not shares:
        return (
            f"{repeated:,} records came from a caller who had voted that day." if repeated else ""
        )
    return (
        f"One caller sent {max(shares):.0%} of what was seen. Each session has one vote a day, so "
        f"{repeated:,} records do not vote."
    )


def _closed(audits: Sequence[Audit], found: Measured) -> str:
    days = len(closings(audits))
    if not days:
        return ""
    covers = "" if found.covers is None else f"; the estimate covers {found.covers:.0%} of traffic"
    return f"The budget of audits ran out on {days} days{covers}."


def _tallied(seen: Seen) -> str:
    if not seen.tallied:
        return ""
    return (
        "The task stores nothing, so audits are counts by the hour: there is no vote a session, no "
        "alarm without labels, and no example."
    )


def _split(rung: Sequence[Alarm]) -> str:
    watching = [one for one in rung if one.alpha]
    if not watching:
        return ""
    parts = ", ".join(f"{one.kind} {one.alpha:.3g}" for one in watching)
    days = max(one.horizon_days for one in watching)
    return (
        f"Chance of a false alarm in {days} days with evidence: {parts}. After them the watch "
        "begins anew with the same chances, so a year of several horizons adds them up."
    )
