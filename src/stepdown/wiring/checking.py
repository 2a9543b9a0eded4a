"""`eval check`: whether every locked task still passes on its rows, and hosted tiers are the same.

A task passes while no promise of its lock is contradicted: the whole 95% interval is on the wrong
side.
It certifies nothing anew and spends no looks; what it sees must not choose a policy.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from stepdown.core.lock import Lock, LockedTask
from stepdown.core.outcome import Outcome, by_query
from stepdown.core.task import Task
from stepdown.core.verdict_case import Ended, VerdictCase
from stepdown.errors import DataError, InputError, LockError, ModelError, WeightsError
from stepdown.evals.canaries import ALPHA, CanaryVerdict
from stepdown.wiring.canaries import ask_canaries, tiers_to_pin
from stepdown.wiring.certifying import outcomes_of
from stepdown.wiring.evaluating import NETWORKED, Watch, samples_in
from stepdown.wiring.expected_cost import expected_usd
from stepdown.wiring.lockfile import check_task
from stepdown.wiring.promise_check import Kept
from stepdown.wiring.replaying import Asked, Replay, replay_asked
from stepdown.wiring.workspace import Workspace

UNASKED = "unavailable"


class How(Struct, frozen=True, kw_only=True):
    """How to check: on which rows, strictly (an open promise falls too), offline, for how much."""

    parts: tuple[str, ...] = ("certify",)
    strict: bool = False
    offline: bool = False
    max_usd: float | None = None
    canaries: bool = True


class CheckedTask(Struct, frozen=True, kw_only=True):
    """One task: its verdicts, and the replay behind them; `left_out` rows had no kept answer."""

    task: str
    cases: tuple[VerdictCase, ...]
    replay: Replay | None = None
    rows: int = 0
    left_out: int = 0


class Check(Struct, frozen=True, kw_only=True):
    """A whole check."""

    tasks: tuple[CheckedTask, ...]
    canaries: tuple[CanaryVerdict, ...]
    canary_cases: tuple[VerdictCase, ...]

    @property
    def cases(self) -> tuple[VerdictCase, ...]:
        """Every verdict."""
        return (*(case for task in self.tasks for case in task.cases), *self.canary_cases)

    def ended(self, how: str) -> int:
        """Return how many cases ended in a way."""
        return sum(case.ended == how for case in self.cases)


async def run_check(
    workspace: Workspace, names: Sequence[str], how: How, watch: Watch | None = None
) -> Check:
    """Check the named locked tasks, all of them when none is named, then the canaries.

    Raises:
        LockError: there is no lock.
        InputError: a named task is not in it, or the calls would cost more than is allowed.
    """
    lock = workspace.lock()
    tasks = _named(workspace, lock, names)
    if how.max_usd is not None and not how.offline:
        _bounded(workspace, tasks, how)
    checked = [await _task(workspace, lock, name, how, watch) for name in tasks]
    verdicts, cases = await _canaries(workspace, how) if how.canaries else ((), ())
    return Check(tasks=tuple(checked), canaries=verdicts, canary_cases=cases)


def _named(workspace: Workspace, lock: Lock, names: Sequence[str]) -> Sequence[str]:
    for name in names:
        workspace.project.task(name)
        if name not in lock.tasks:
            held = ", ".join(lock.tasks) or "none"
            raise InputError(f"The lock holds no task {name!r}.", f"It has: {held}.")
    if not names and not lock.tasks:
        raise InputError("The lock holds no task.", "Run `stepdown certify`.")
    return names or tuple(lock.tasks)


def _bounded(workspace: Workspace, names: Sequence[str], how: How) -> None:
    """Refuse before anything is spent when the calls needed may cost more than is allowed."""
    tasks = [workspace.project.tasks[name] for name in names if name in workspace.project.tasks]
    usd, unknown = expected_usd(workspace, tasks, how.parts)
    limit = how.max_usd or 0.0
    if unknown:
        tiers = ", ".join(unknown)
        raise InputError(
            f"--max-usd {limit:g} cannot be held: nobody knows what {tiers} will cost.",
            "Give the tier a price in stepdown.toml, or check --offline.",
        )
    if usd > limit:
        raise InputError(
            f"The calls that were not kept are expected to cost ${usd:.4g}, and --max-usd is "
            f"{limit:g}; nothing was called.",
            "Raise --max-usd, keep .stepdown/runs between checks, or check --offline.",
        )


async def _task(
    workspace: Workspace, lock: Lock, name: str, how: How, watch: Watch | None
) -> CheckedTask:
    started_s = workspace.seconds()
    try:
        task = workspace.project.task(name)
        locked = lock.tasks[name]
        _check_lock(workspace, lock, task)
        _check_date(workspace, locked)
        return await _replayed(workspace, lock, task, how, watch, started_s)
    except (InputError, WeightsError, ModelError) as error:
        case = VerdictCase(
            suite=name,
            name="can be checked",
            ended="error",
            message=error.message,
            detail=str(error),
        )
        return CheckedTask(task=name, cases=(case,))


def _check_lock(workspace: Workspace, lock: Lock, task: Task) -> None:
    digests = {tier: locked.digest for tier, locked in workspace.locked_tiers(task).items()}
    settings = workspace.project.settings_digest(task)
    check_task(lock, task.name, settings, task.contract.digest, digests)


def _check_date(workspace: Workspace, locked: LockedTask) -> None:
    due = locked.guarantee.review_by
    if (
        locked.guarantee.state == "certified"
        and due
        and workspace.environment.today.isoformat() > due
    ):
        raise LockError(
            f"Its guarantee fell due on {due}, so the ceiling answers.",
            "Run `stepdown certify` again with fresh rows.",
        )


async def _replayed(
    workspace: Workspace, lock: Lock, task: Task, how: How, watch: Watch | None, started_s: float
) -> CheckedTask:
    samples = samples_in(workspace, task, how.parts)
    outcomes = await outcomes_of(workspace, task, samples, watch)
    known = answered(workspace, outcomes)
    left_out = len(samples) - len({one.query_id for one in known})
    if not known:
        raise DataError(
            f"None of its {len(samples):,} rows has the kept answers of all its tiers.",
            "Run `stepdown eval check` once with a key, and keep .stepdown/runs for the next one."
            if how.offline
            else "A tier could not be asked: see `stepdown eval`.",
        )
    if how.offline and task.judge is not None and all(one.score is None for one in known):
        raise DataError(
            "None of its answers has a kept verdict of the judge.",
            "Run `stepdown eval check` once with a key, and keep .stepdown/runs for the next one.",
        )
    asked = Asked(
        lock=lock,
        task=task.name,
        state=workspace.project.state,
        promises={task.name: task.promise},
        beside=workspace.lock_path.parent,
    )
    found = replay_asked(asked, known)
    cases = [_case(task.name, kept, strict=how.strict) for kept in found.promises]
    if not cases:
        state = lock.tasks[task.name].guarantee.state
        cases = [_unpromised(task.name, state)]
    took_s = workspace.seconds() - started_s
    timed = tuple(_timed(case, took_s / len(cases)) for case in cases)
    return CheckedTask(
        task=task.name, cases=timed, replay=found, rows=len(samples) - left_out, left_out=left_out
    )


def answered(workspace: Workspace, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return the outcomes of the rows that no networked tier left without an answer to be had."""
    hosted = {name for name, tier in workspace.tiers.items() if tier.adapter in NETWORKED}
    found: list[Outcome] = []
    for row in by_query(outcomes).values():
        if not any(o.tier in hosted and o.failure == UNASKED for o in row.values()):
            found += row.values()
    return found


def _case(task: str, kept: Kept, *, strict: bool) -> VerdictCase:
    figure = kept.figure
    said = "unknown" if figure.value is None else f"{figure.value:z.4f}"
    if figure.low is not None and figure.high is not None:
        said += f" [{figure.low:z.4f}, {figure.high:z.4f}]"
    why = f"; {kept.why}" if kept.why else ""
    detail = (
        f"{kept.words}: {said} on n={figure.n} rows, limit {kept.level:g}: {kept.verdict}{why}."
    )
    if figure.value is None:
        return VerdictCase(
            suite=task,
            name=kept.words,
            ended="skipped",
            message=kept.why or "unknown",
            detail=detail,
        )
    falls = kept.verdict == "contradicted" or (strict and kept.verdict == "open")
    return VerdictCase(
        suite=task,
        name=kept.words,
        ended="failed" if falls else "passed",
        message=f"{kept.verdict}: {said}, limit {kept.level:g}",
        detail=detail,
    )


def _unpromised(task: str, state: str) -> VerdictCase:
    why = {
        "ceiling": "the ceiling answers, so nothing is promised against it",
        "declared": "thresholds were set by hand, so nothing is promised",
    }.get(state, "nothing is promised")
    return VerdictCase(suite=task, name="promises", ended="skipped", message=why)


def _timed(case: VerdictCase, seconds: float) -> VerdictCase:
    from msgspec.structs import replace

    return replace(case, seconds=seconds)


async def _canaries(
    workspace: Workspace, how: How
) -> tuple[tuple[CanaryVerdict, ...], tuple[VerdictCase, ...]]:
    verdicts, cases = [], []
    for tier in _pinned_tiers(workspace):
        suite, started_s = f"canaries {tier}", workspace.seconds()
        if how.offline and workspace.tiers[tier].adapter in NETWORKED:
            cases.append(_canary_case(suite, "skipped", "offline, so it was not asked"))
            continue
        try:
            verdict = await ask_canaries(workspace, tier)
        except (InputError, WeightsError, ModelError) as error:
            cases.append(_canary_case(suite, "error", str(error)))
            continue
        if verdict is not None:
            verdicts.append(verdict)
            cases.append(_timed(_told(suite, verdict), workspace.seconds() - started_s))
    return tuple(verdicts), tuple(cases)


def _pinned_tiers(workspace: Workspace) -> Sequence[str]:
    from stepdown.adapters.tables.canary_files import canary_path

    root = workspace.project.root
    return [tier for tier in workspace.project.tiers if canary_path(root, tier).exists()]


def unpinned(workspace: Workspace) -> tuple[str, ...]:
    """Return the networked tiers that tasks use and nobody pinned."""
    try:
        wanted = tiers_to_pin(workspace)
    except DataError:
        return ()
    return tuple(tier for tier in wanted if tier not in _pinned_tiers(workspace))


def _told(suite: str, one: CanaryVerdict) -> VerdictCase:
    rule = (
        "any other answer is a change"
        if one.rule == "exact"
        else f"permutation test, p = {one.p_value:.4f}, changed at {ALPHA:g} or less"
    )
    named = f"; the provider now names {', '.join(one.served)}" if one.served else ""
    said = f"{len(one.differ)} of {one.prompts} prompts got a new answer ({rule}){named}"
    shown = f"; among them {', '.join(one.differ[:10])}" if one.differ else ""
    ended: Ended = "failed" if one.changed else "passed"
    word = "changed" if one.changed else "the same"
    return VerdictCase(
        suite=suite, name="same model", ended=ended, message=f"{word}: {said}", detail=said + shown
    )


def _canary_case(suite: str, ended: Ended, message: str) -> VerdictCase:
    return VerdictCase(suite=suite, name="same model", ended=ended, message=message)
