"""`serve status`: where each task stands on its way from today's model to its policy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any

from msgspec import Struct

from stepdown.adapters.storage.figures import Figures
from stepdown.core.beside import Change, Shadow
from stepdown.core.digest import digest, seed_from
from stepdown.core.exposure import Exposure
from stepdown.core.lock import Lock, LockedTask
from stepdown.core.report import Cell, Claim, Column, Document, Prose, Section, Table
from stepdown.core.withdrawal import Withdrawal
from stepdown.errors import DataError
from stepdown.stats.intervals import mean_interval, quantile
from stepdown.wiring.exposing import Told, path_of, read_spoken, served_now
from stepdown.wiring.measuring import gateways
from stepdown.wiring.promise_words import promise_words
from stepdown.wiring.widening_words import Needed, needed
from stepdown.wiring.withdrawals import Withdrawals
from stepdown.wiring.withdrawals import path_of as withdrawals_path
from stepdown.wiring.workspace import Workspace

DAYS = 30
LATEST = 5  # changes that are shown


class Arm(Struct, frozen=True, kw_only=True):
    """The traffic of one arm. `score` is the mean of what people said, over `scored` answers."""

    arm: str
    n: int
    escalated: int
    outside: int
    abstained: int
    usd_per_request: float | None
    cost_unknown: int
    saved: float | None
    p50_s: float | None
    p95_s: float | None
    score: float | None
    score_low: float | None
    score_high: float | None
    scored: int


class TaskStatus(Struct, frozen=True, kw_only=True):
    """One task: what is promised, who is served, what was seen, what is needed to widen."""

    task: str
    guarantee: str
    promise: str
    review_by: str
    days_left: int | None
    serving: str
    share: float
    shadow: float
    told: Told | None
    arms: tuple[Arm, ...]
    outside: Mapping[str, int]
    shadows: Needed
    shadow_cost_usd: float | None
    shadow_cost_unknown: int
    not_comparable: Mapping[str, int]
    would_save: float | None
    counted_only: int = 0


class Status(Struct, frozen=True, kw_only=True):
    """All of it, since a time; `gateways` counts the processes that serve now."""

    lock: str
    since: str
    gateways: int
    baseline: str | None
    tasks: tuple[TaskStatus, ...]
    changes: tuple[Change, ...]


def status(workspace: Workspace, since: str | None = None) -> Status:
    """Return where each locked task stands. It asks the files, whether or not a gateway runs."""
    begun = since or (datetime.now(UTC) - timedelta(days=DAYS)).isoformat(timespec="seconds")
    lock = workspace.lock()
    taken = Withdrawals(withdrawals_path(workspace.project), lock)
    spoken = read_spoken(path_of(workspace.project)).tasks
    running = gateways(workspace.project.state)
    served = served_now(workspace.project, running=running > 0)
    seen = _Seen(workspace, begun, lock.digest)
    return Status(
        lock=lock.digest,
        since=begun,
        gateways=running,
        baseline=workspace.project.baseline,
        tasks=tuple(
            _task(
                name,
                lock,
                taken(name),
                spoken.get(name),
                served[name],
                seen,
                workspace.environment.today,
            )
            for name in lock.tasks
            if name in workspace.project.tasks
        ),
        changes=seen.changes,
    )


class _Seen:
    """What the ledger holds since a time; nothing where there is none yet."""

    def __init__(self, workspace: Workspace, since: str, lock_digest: str) -> None:
        self.arms: list[dict[str, Any]] = []
        self.reasons: list[dict[str, Any]] = []
        self.tallied: dict[str, int] = {}
        self.said: list[dict[str, Any]] = []
        self.shadows: list[Shadow] = []
        self.changes: tuple[Change, ...] = ()
        self.figures: Figures | None = None
        with suppress(DataError), workspace.kept_ledger() as ledger:
            self.shadows = [
                one
                for one in ledger.records(Shadow, since=since)
                if one.lock_digest == lock_digest and one.ran == "policy"
            ]
            self.changes = tuple(ledger.records(Change))[-LATEST:]
            figures = self.figures = Figures(ledger.path, since)
            self.arms, self.reasons = figures.arms(), figures.outside()
            self.tallied = {row["task"]: row["n"] for row in figures.tallied()}
            self.said = figures.scores()

    def arms_of(self, task: str) -> tuple[Arm, ...]:
        return tuple(self._arm(row) for row in self.arms if row["task"] == task)

    def _arm(self, row: Mapping[str, Any]) -> Arm:
        task, arm, known = row["task"], row["arm"], row["n"] - row["cost_unknown"]
        times = [] if self.figures is None else self.figures.times(task, arm)
        scores = [s["score"] for s in self.said if (s["task"], s["arm"]) == (task, arm)]
        seed = seed_from(digest(scores))
        between = mean_interval(scores, seed=seed) if len(scores) > 1 else None
        return Arm(
            arm=arm,
            n=row["n"],
            escalated=row["escalated"],
            outside=row["outside"],
            abstained=row["abstained"],
            usd_per_request=row["cost_usd"] / known if known else None,
            cost_unknown=row["cost_unknown"],
            saved=_saved(row["compared_usd"], row["baseline_usd"]),
            p50_s=quantile(times, 0.5) if times else None,
            p95_s=quantile(times, 0.95) if times else None,
            score=sum(scores) / len(scores) if scores else None,
            score_low=between.low if between else None,
            score_high=between.high if between else None,
            scored=len(scores),
        )


def _saved(after: float | None, before: float | None) -> float | None:
    return 1 - (after or 0.0) / before if before else None


def _task(
    name: str,
    lock: Lock,
    taken: Withdrawal | None,
    told: Told | None,
    exposure: Exposure,
    seen: _Seen,
    today: date,
) -> TaskStatus:
    locked = lock.tasks[name]
    runs = [one for one in seen.shadows if one.task == name]
    costs = [one.cost_usd for one in runs if one.cost_usd is not None]
    due = locked.guarantee.review_by
    left = (date.fromisoformat(due) - today).days if due else None
    return TaskStatus(
        task=name,
        guarantee=_state(locked, left, taken),
        promise=promise_words(
            locked.guarantee.promise, locked.guarantee.level, locked.policy.ceiling
        ),
        review_by=due,
        days_left=left,
        serving=str(exposure),
        share=exposure.share,
        shadow=exposure.shadow if exposure.share < 1 else 0.0,
        told=told,
        arms=seen.arms_of(name),
        outside={r["reason"]: r["n"] for r in seen.reasons if r["task"] == name},
        shadows=needed(name, locked.guarantee, runs),
        shadow_cost_usd=sum(costs) if costs else None,
        shadow_cost_unknown=len(runs) - len(costs),
        not_comparable=Counter(one.why_not for one in runs if one.agreed is None),
        would_save=_would_save(runs),
        counted_only=seen.tallied.get(name, 0),
    )


def _state(locked: LockedTask, days_left: int | None, taken: Withdrawal | None) -> str:
    if taken is not None and taken.steps_up:
        return "withdrawn"
    overdue = days_left is not None and days_left < 0
    stated = locked.guarantee.state
    return "withdrawn" if stated == "certified" and overdue else stated


def _would_save(runs: Sequence[Shadow]) -> float | None:
    """Return the share of today's cost that the policy would have saved in the shadow runs."""
    both = [
        (one.policy_usd, one.caller_usd)
        for one in runs
        if one.policy_usd is not None and one.caller_usd is not None
    ]
    before = sum(caller for _, caller in both)
    return 1 - sum(policy for policy, _ in both) / before if before else None


def document(found: Status) -> Document:
    """Return the status as tables, and what to do next for each task."""
    running = f"{found.gateways} process{'es' * (found.gateways != 1)} serving"
    facts = [("gateway", running if found.gateways else "not running")]
    facts.append(("baseline", found.baseline or "not named; a task's ceiling stands in"))
    blocks: list[Table | Prose] = [_standing(found), _traffic(found)]
    if any(one.shadows.n + one.shadows.not_comparable for one in found.tasks):
        blocks.append(_shadows(found))
    blocks += [Prose(f"{one.task}: {_next(one)}.", _tone(one)) for one in found.tasks]
    if found.changes:
        blocks.append(_changes(found.changes))
    return Document(
        title="Serving",
        subtitle=f"since {found.since[:16]}, from the ledger",
        facts=tuple(facts),
        sections=(Section("Where each task stands", tuple(blocks)),),
    )


def _standing(found: Status) -> Table:
    columns = (
        Column("task"),
        Column("serving"),
        Column("guarantee"),
        Column("review by"),
        Column("promise", optional=True),
    )
    rows = tuple(
        (one.task, one.serving, one.guarantee, _due(one), one.promise) for one in found.tasks
    )
    return Table(title="What is served", columns=columns, rows=rows)


def _due(one: TaskStatus) -> str:
    if one.days_left is None:
        return ""
    return f"{one.review_by}{'' if one.days_left >= 0 else ', overdue'}"


def _traffic(found: Status) -> Table:
    columns = (
        Column("task"),
        Column("answered by"),
        Column("requests", numeric=True),
        Column("$/request", numeric=True),
        Column("saved", numeric=True),
        Column("score", numeric=True),
        Column("p50", numeric=True, optional=True),
        Column("p95", numeric=True, optional=True),
        Column("escalated", numeric=True, optional=True),
    )
    rows = [_arm_row(one, arm) for one in found.tasks for arm in one.arms]
    rows += [
        (one.task, "counted only", Claim(one.counted_only, "count"), *[None] * 6)
        for one in found.tasks
        if one.counted_only
    ]
    notes = [f"Saved against {found.baseline or 'the ceiling'}, where both costs are known."]
    notes += [
        f"{one.task}: outside the guarantee {sum(one.outside.values())} times: "
        + ", ".join(f"{why} {n}" for why, n in one.outside.items())
        for one in found.tasks
        if one.outside
    ]
    return Table(title="Traffic", columns=columns, rows=tuple(rows), notes=tuple(notes))


def _arm_row(one: TaskStatus, arm: Arm) -> tuple[Cell, ...]:
    name = "the policy" if arm.arm == "policy" else "today's model"
    between = (arm.score_low, arm.score_high)
    score = Claim(arm.score, "score", *between, 0.95, arm.scored, "feedback")
    return (
        one.task,
        name,
        Claim(arm.n, "count"),
        Claim(arm.usd_per_request, "usd"),
        Claim(arm.saved, "share"),
        score if arm.scored else None,
        Claim(arm.p50_s, "s", n=arm.n),
        Claim(arm.p95_s, "s", n=arm.n),
        Claim(arm.escalated / arm.n, "share"),
    )


def _shadows(found: Status) -> Table:
    columns = (
        Column("task"),
        Column("runs", numeric=True),
        Column("agreement", numeric=True),
        Column("at any look above", numeric=True),
        Column("needed above", numeric=True),
        Column("would save", numeric=True),
        Column("cost", numeric=True, optional=True),
    )
    rows = tuple(_shadow_row(one) for one in found.tasks if one.shadows.n or one.not_comparable)
    notes = ["Agreement with today's answers: Wilson interval at 95% for one look."]
    notes += [
        f"{one.task}: not comparable: " + ", ".join(f"{why} {n}" for why, n in said.items())
        for one in found.tasks
        if (said := one.not_comparable)
    ]
    return Table(title="Shadow", columns=columns, rows=rows, notes=tuple(notes))


def _shadow_row(one: TaskStatus) -> tuple[Cell, ...]:
    seen = one.shadows
    agreement = Claim(seen.agreement, "share", seen.low, seen.high, 0.95, seen.n)
    return (
        one.task,
        Claim(seen.n + seen.not_comparable, "count"),
        agreement if seen.n else None,
        None if seen.bound is None else Claim(seen.bound, "share"),
        None if seen.target is None else Claim(seen.target, "share"),
        Claim(one.would_save, "share"),
        Claim(one.shadow_cost_usd, "usd"),
    )


def _next(one: TaskStatus) -> str:
    """Say what comes next for a task."""
    if one.guarantee == "withdrawn":
        if one.days_left is not None and one.days_left < 0:
            return "its guarantee is overdue, so its ceiling answers; run `stepdown certify`"
        return f"an alarm took its promise back; `stepdown review status --task {one.task}`"
    if one.share >= 1:
        return "the policy answers everything; `stepdown rollback " + one.task + "` goes back"
    if not one.shadows.n and one.shadow <= 0:
        return f"nothing runs beside today's answers; `stepdown serve share {one.task}=shadow`"
    wider = " `stepdown serve share " + one.task + "=" + _wider(one.share) + "`"
    return one.shadows.words + (f":{wider}" if one.shadows.enough else "")


def _wider(share: float) -> str:
    steps = [0.05, 0.2, 0.5]
    return next((f"{step:g}" for step in steps if step > share), "all")


def _tone(one: TaskStatus) -> Any:
    if one.guarantee == "withdrawn":
        return "warn"
    return "good" if one.shadows.enough or one.share >= 1 else "plain"


def _changes(changes: Sequence[Change]) -> Table:
    columns = (Column("when"), Column("by"), Column("what"), Column("from"), Column("to"))
    rows = tuple(
        (one.at[:16], one.by, f"{one.what} {one.task or ''}".strip(), *map(_short, _ends(one)))
        for one in reversed(changes)
    )
    return Table(title="Changes", columns=columns, rows=rows)


def _ends(change: Change) -> tuple[str, str]:
    return change.before, change.after


def _short(said: str) -> str:
    return said[:19] if said.startswith("sha256:") else said
