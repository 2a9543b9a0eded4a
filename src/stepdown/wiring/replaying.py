"""`replay`: what a locked policy would have done on other recorded outcomes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
from msgspec import Struct

from stepdown.certify.calibration import with_confidence
from stepdown.certify.case import scored_by_agreement
from stepdown.certify.states import with_size
from stepdown.core.derived import raw_inputs
from stepdown.core.lock import Estimate, Lock, LockedTask
from stepdown.core.outcome import Outcome
from stepdown.core.policy import Action, Policy, Row, pair_in
from stepdown.core.replay_array import Panel, ReplayedArray, panel, replay_array
from stepdown.core.task import Promise, Task
from stepdown.errors import DataError, LockError
from stepdown.wiring.comparing import Comparison, compare
from stepdown.wiring.estimating import difference_of, mean_of, negated, saving_of
from stepdown.wiring.foretelling import with_read_signals
from stepdown.wiring.frontier_file import read_frontier
from stepdown.wiring.policy_shape import reachable
from stepdown.wiring.policy_states import StateLines, is_long, state_lines
from stepdown.wiring.policy_words import policy_words
from stepdown.wiring.promise_check import SOURCE, Kept, check, delivered

AGREEMENT = ("min_agreement", "max_disagreement")


class Escalated(Struct, frozen=True):
    """How many queries went on from a tier, and why."""

    after: str
    reason: str
    n: int


class Replay(Struct, frozen=True, kw_only=True):
    """What a locked policy did on recorded outcomes.

    `broken`: a promise is contradicted. `dropped`: rows without a score of the ceiling, on which
    no loss is known. `unread`: signals that the policy reads and no row holds. `states`: where a
    long policy's rows were, empty for one that a sentence says.
    """

    task: str
    state: str
    policy: str
    n: int
    dropped: int
    score: Estimate
    ceiling_score: Estimate
    loss: Estimate
    cost_usd: Estimate
    always_ceiling_usd: Estimate
    saved: Estimate | None
    latency_s: Estimate
    kept: Mapping[str, float]
    escalations: tuple[Escalated, ...]
    reasons: Mapping[str, int]
    outside: Mapping[str, int]
    promises: tuple[Kept, ...]
    unread: tuple[str, ...]
    broken: bool
    states: StateLines = StateLines()
    comparison: Comparison | None = None


def task_named(lock: Lock, task: str | None) -> str:
    """Return the task to replay: the named one, or the only one that the lock holds.

    Raises:
        LockError: no such task, or several and none named.
    """
    held = ", ".join(lock.tasks) or "none"
    if task is None and len(lock.tasks) == 1:
        return next(iter(lock.tasks))
    if task is None:
        raise LockError(f"The lock holds {len(lock.tasks)} tasks: {held}.", "Name one of them.")
    if task not in lock.tasks:
        raise LockError(f"The lock holds no task {task!r}.", f"It has: {held}.")
    return task


class Asked(Struct, frozen=True, kw_only=True):
    """What to replay. `state` is the folder `.stepdown` beside the lock.

    `promises` are those of the project as it is now: they add what stands beside a locked promise.
    `beside` is the folder of the lock, where the file of its triage is.
    """

    lock: Lock
    task: str | None = None
    state: Path | None = None
    promises: Mapping[str, Promise] = {}
    compare: bool = False
    beside: Path = Path()


def replay_asked(asked: Asked, outcomes: Panel | Sequence[Outcome]) -> Replay:
    """Return what the locked policy of a task would have done, with its rivals where asked.

    Raises:
        LockError: the lock holds no such task, or the outcomes lack tiers that its policy calls.
        DataError: there are no outcomes, or none that the promise could be read from.
    """
    task = task_named(asked.lock, asked.task)
    locked = asked.lock.tasks[task]
    table = with_read_signals(table_of(locked, outcomes), locked, asked.beside)
    found = replay_panel(task, locked, table, asked.promises.get(task))
    if not asked.compare:
        return found
    beside = read_frontier(asked.state, task, locked) if asked.state is not None else ()
    return msgspec.structs.replace(found, comparison=compare(locked, table, beside))


def replay_lock(lock: Lock, task: str, outcomes: Sequence[Outcome]) -> Replay:
    """Return what the locked policy of a task would have done; raises as `replay_asked` does."""
    return replay_asked(Asked(lock=lock, task=task), outcomes)


def table_of(locked: LockedTask, outcomes: Panel | Sequence[Outcome]) -> Panel:
    """Return the outcomes as the locked task sees them, its confidences read.

    Raises: as `replay_asked` does.
    """
    whole = outcomes if isinstance(outcomes, Panel) else panel(outcomes)
    if not whole.n:
        raise DataError("The outcome table has no row.", "Write one with `stepdown outcomes`.")
    _refuse_other_tiers(locked.policy, whole)
    if locked.guarantee.reference == "ceiling":
        task = Task(name="", kind="classify", tiers=locked.policy.tiers)
        whole = scored_by_agreement(task, whole)
    if not any((~np.isnan(score)).any() for score in whole.score.values()):
        _refuse_unscored(locked)
    maps = {t: m for t, m in locked.confidence.items() if f"{t}.{m.signal}" in whole.signals}
    return with_size(with_confidence(whole, maps))


def _refuse_other_tiers(policy: Policy, table: Panel) -> None:
    called = _called(policy)
    missing = [tier for tier in called if tier not in table.score]
    if missing:
        raise LockError(
            f"The outcomes have no row of the tiers {', '.join(missing)}, which the locked policy "
            "calls.",
            f"The outcomes have {', '.join(table.tiers)}; the policy calls {', '.join(called)}.",
        )


def _called(policy: Policy) -> list[str]:
    actions = [action for row in reachable(policy) for action in row.actions]
    return list(dict.fromkeys(a.target for a in actions if a.kind == "call"))


def _refuse_unscored(locked: LockedTask) -> None:
    if locked.guarantee.promise not in AGREEMENT:
        raise DataError(
            "No outcome has a score, so nothing can be said of the promise.",
            "Fill the column `score` (0..1), for example with `stepdown outcomes`.",
        )


def replay_panel(
    task: str, locked: LockedTask, table: Panel, promise: Promise | None = None
) -> Replay:
    """Return what the locked policy would have done on a table."""
    policy, stated = locked.policy, locked.guarantee
    table = table.with_derived(locked.signals)
    done = replay_array(policy, table, locked.signals)
    sent = delivered(table, done, policy.ceiling)
    groups = sent.groups
    found = check(locked, table, sent, promise.error_costs if promise is not None else {})
    always = table.cost_usd.get(policy.ceiling, np.full(table.n, np.nan))
    return Replay(
        task=task,
        state=stated.state,
        policy=policy_words(policy, locked.signals),
        states=_states(locked, done),
        n=table.n,
        saved=saving_of(done.cost_usd, always, SOURCE, groups),
        dropped=int(np.isnan(sent.ceiling_score).sum()),
        always_ceiling_usd=mean_of(always, "usd", SOURCE, groups),
        reasons=_counted(done.reason.tolist()),
        outside=_counted([o for o in done.outside_guarantee.tolist() if o is not None]),
        kept={name or "nobody": share for name, share in done.share_by_answer().items()},
        escalations=_escalations(policy, table, done, locked),
        promises=found,
        unread=_unread(locked, table),
        broken=any(one.verdict == "contradicted" for one in found),
        score=mean_of(sent.score, "score", SOURCE, groups),
        ceiling_score=mean_of(sent.ceiling_score, "score", SOURCE, groups),
        loss=negated(difference_of(sent.score, sent.ceiling_score, SOURCE, groups)),
        cost_usd=mean_of(done.cost_usd, "usd", SOURCE, groups),
        latency_s=mean_of(done.latency_s, "s", SOURCE, groups),
    )


def _states(locked: LockedTask, done: ReplayedArray) -> StateLines:
    policy, derived = locked.policy, locked.signals
    return state_lines(policy, derived, done) if is_long(policy, derived) else StateLines()


def _counted(values: Sequence[str]) -> dict[str, int]:
    return dict(Counter(values).most_common())


def _escalations(
    policy: Policy, table: Panel, done: ReplayedArray, locked: LockedTask
) -> tuple[Escalated, ...]:
    """Return why queries went on: the table is replayed with each state as the last in turn.

    So the reasons are the policy's own, and no threshold is compared here.
    """
    found: list[Escalated] = []
    for row in reachable(policy):
        went_on = _went_on(done, row.called)
        if not row.called or not went_on.any():
            continue
        ended = replay_array(_ending_at(policy, row), table, locked.signals)
        after = " + ".join(row.called)
        for reason, n in _counted(ended.reason[went_on].tolist()).items():
            found.append(Escalated(after, reason, n))
    return tuple(found)


def _went_on(
    done: ReplayedArray, called: tuple[str, ...]
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    size = len(called)
    longer = [len(state) > size and state[:size] == called for state in done.states]
    return np.array(longer, dtype=bool)[done.called_at]


def _ending_at(policy: Policy, row: Row) -> Policy:
    """Return the policy in which whoever would go on from this state abstains there instead."""

    def end(action: Action) -> Action:
        return Action("abstain") if action.kind in ("call", "buy") else action

    when = tuple(msgspec.structs.replace(c, then=end(c.then)) for c in row.when)
    last = msgspec.structs.replace(row, when=when, otherwise=end(row.otherwise))
    rows = tuple(last if r.called == row.called else r for r in policy.rows)
    return msgspec.structs.replace(policy, rows=rows)


def _unread(locked: LockedTask, table: Panel) -> tuple[str, ...]:
    """Return the signals that the policy rests on and that no row of the table holds."""
    return tuple(sorted(set(_resting_on(locked)) - set(_readable(table))))


def _resting_on(locked: LockedTask) -> Iterator[str]:
    for signal in locked.policy.signals:
        yield from (raw for raw in raw_inputs(signal, locked.signals) if not pair_in(raw))


def _readable(table: Panel) -> Iterator[str]:
    for name, values in table.signals.items():
        if (~np.isnan(values)).any():
            yield name
