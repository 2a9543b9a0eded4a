"""`models try`: a new tier beside the old one, without touching stepdown.toml or the lock.

Both answer the tune rows, paired. Then certification is rehearsed with and without it: half of the
tune rows chooses, the other half tests. The certify rows are not looked at, so nothing is promised.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan
from typing import Any

from msgspec import Struct

from stepdown.certify.certify import certify_task
from stepdown.certify.evidence import Certified, Evidence, Terms
from stepdown.config.project import FILE
from stepdown.core.artifact import Artifact
from stepdown.core.digest import digest, seed_from
from stepdown.core.outcome import Outcome
from stepdown.core.report import Claim
from stepdown.core.task import Task
from stepdown.errors import ConfigError, DataError, InputError
from stepdown.evals.limiting import drawn
from stepdown.evals.scorers import is_binary
from stepdown.wiring.certifying import outcomes_of
from stepdown.wiring.evaluating import Watch
from stepdown.wiring.foretelling import static_encoder
from stepdown.wiring.proving import difference
from stepdown.wiring.sides import Side, cost_difference, side_of, thousand
from stepdown.wiring.tier_writing import NewTier, name_for, trial_of, with_tier
from stepdown.wiring.workspace import Workspace


class Wish(Struct, frozen=True, kw_only=True):
    """What to try: a `model=` string, a tier's name, or digits of an artifact; and how.

    `against` is the tier to compare with, `keys` are further keys of the tier, `limit` is how many
    tune rows are asked at most.
    """

    new: str
    against: str = ""
    keys: Mapping[str, Any] = {}
    name: str = ""
    as_ceiling: bool = False
    limit: int | None = None
    rehearse: bool = True


class Rehearsed(Struct, frozen=True, kw_only=True):
    """What certification would have found on half of the tune rows; `keeps` below the ceiling."""

    state: str
    tiers: tuple[str, ...]
    bound: float | None
    level: float | None
    n: int
    keeps: float
    cost_usd: Claim
    why: str = ""


class Tried(Struct, frozen=True, kw_only=True):
    """The new tier beside the old one. `difference` is the new score less the old one, paired."""

    task: str
    new: Side
    old: Side
    difference: Claim
    cost_difference: Claim
    n: int
    before: Rehearsed | None
    after: Rehearsed | None
    tier: NewTier | None
    notes: tuple[str, ...] = ()


class _Trial(Struct, frozen=True):
    """The project with the new tier in it, and which tiers of it are compared."""

    workspace: Workspace
    task: Task
    new: str
    old: str
    tier: NewTier | None


async def try_model(
    workspace: Workspace, task: Task, wish: Wish, watch: Watch | None = None
) -> Tried:
    """Try a new tier for a task.

    Raises:
        ConfigError: it makes no tier, or is outside the task's boundary.
        InputError: there is no such artifact, or nothing to compare it with.
        DataError: the task has no tune rows.
    """
    trial = _trial(workspace, task, wish)
    samples = drawn(workspace.part(task, "tune"), wish.limit)
    if not samples:
        raise DataError(f"{task.name} has no tune rows to try on.", "See [data].")
    try:
        after = await outcomes_of(trial.workspace, trial.task, samples, watch)
        before = await _before(workspace, task, trial, samples, after, watch)
    finally:
        if trial.workspace is not workspace:
            await trial.workspace.aclose()
    new = [one for one in after if one.tier == trial.new]
    old = [one for one in before if one.tier == trial.old]
    seed = seed_from(workspace.whole_split.data_digest)
    rehearsed: list[Rehearsed | None] = [None, None]
    notes: list[str] = []
    if wish.rehearse and task.cascades:
        rehearsed, notes = _rehearsed(trial, task, before, after, seed)
    return Tried(
        task=task.name,
        new=side_of(trial.workspace, trial.task, trial.new, new, seed),
        old=side_of(workspace, task, trial.old, old, seed),
        difference=difference(new, old, seed),
        cost_difference=cost_difference(new, old, seed),
        n=len(samples),
        before=rehearsed[0],
        after=rehearsed[1],
        tier=trial.tier,
        notes=tuple(notes),
    )


async def _before(
    workspace: Workspace,
    task: Task,
    trial: _Trial,
    samples: Sequence[Any],
    after: Sequence[Outcome],
    watch: Watch | None,
) -> Sequence[Outcome]:
    """Return the outcomes without the new tier; of an artifact, what answers in its place now."""
    if trial.new != trial.old:
        return [one for one in after if one.tier != trial.new]
    return await outcomes_of(workspace, task, samples, watch)


def _trial(workspace: Workspace, task: Task, wish: Wish) -> _Trial:
    if ":" in wish.new and not wish.new.startswith("sha256:"):
        return _with_model(workspace, task, wish)
    if wish.new in workspace.project.tiers:
        return _with_tier(workspace, task, wish)
    return _with_artifact(workspace, task, workspace.models.registry.find(wish.new))


def _with_model(workspace: Workspace, task: Task, wish: Wish) -> _Trial:
    name = wish.name or name_for(wish.new, workspace.project.tiers)
    tier = NewTier(name=name, keys={"model": wish.new, **wish.keys}, as_ceiling=wish.as_ceiling)
    return _opened(workspace, task, tier, _old(workspace, task, wish.against, name))


def _with_tier(workspace: Workspace, task: Task, wish: Wish) -> _Trial:
    old = _old(workspace, task, wish.against, wish.new)
    if wish.new in task.tiers:
        return _Trial(workspace, task, wish.new, old, None)
    return _opened(
        workspace, task, NewTier(name=wish.new, keys={}, as_ceiling=wish.as_ceiling), old
    )


def _opened(workspace: Workspace, task: Task, tier: NewTier, old: str) -> _Trial:
    root = workspace.project.root
    text = with_tier((root / FILE).read_text(encoding="utf-8"), task, tier)
    project = trial_of(root, text)
    trial = type(workspace)(project, workspace.environment)
    return _Trial(trial, project.task(task.name), tier.name, old, tier)


def _with_artifact(workspace: Workspace, task: Task, artifact: Artifact) -> _Trial:
    if artifact.task != task.name:
        raise InputError(
            f"The artifact {artifact.short} is of the task {artifact.task!r}.",
            f"Try it with --task {artifact.task}.",
        )
    now = workspace.models.registry.promoted(task.name, artifact.tier)
    if now is None or now.digest == artifact.digest:
        raise InputError(
            f"Nothing else is promoted for {artifact.tier} of {task.name}.",
            "Compare it with another tier by `stepdown eval`.",
        )
    trial = type(workspace)(workspace.project, workspace.environment)
    trial.models.pin_artifact(artifact)
    return _Trial(trial, task, artifact.tier, artifact.tier, None)


def _old(workspace: Workspace, task: Task, against: str, new: str) -> str:
    """Return the tier to compare with: named, else the first that the lock calls, else the one
    below the ceiling.
    """
    others = [name for name in task.tiers if name != new]
    if against:
        if against not in others:
            raise ConfigError(
                f"--against {against!r} is no other tier of {task.name!r}.",
                f"It has: {', '.join(others)}.",
            )
        return against
    if not others:
        raise InputError(f"{task.name} has no other tier to compare {new!r} with.")
    locked = workspace.lock().tasks.get(task.name) if workspace.lock_path.exists() else None
    first = [name for name in (locked.policy.tiers if locked else ()) if name in others]
    return first[0] if first else others[max(len(others) - 2, 0)]


def _rehearsed(
    trial: _Trial, task: Task, before: Sequence[Outcome], after: Sequence[Outcome], seed: int
) -> tuple[list[Rehearsed | None], list[str]]:
    found: list[Rehearsed | None] = []
    notes: list[str] = []
    for one, rows in ((task, before), (trial.task, after)):
        try:
            found.append(_summed(_rehearsal(trial.workspace, one, rows), seed))
        except (DataError, ConfigError) as error:
            found.append(None)
            notes.append(f"Certification could not be rehearsed: {error.message}")
    return found, list(dict.fromkeys(notes))


def _rehearsal(workspace: Workspace, task: Task, rows: Sequence[Outcome]) -> Certified:
    """Certify on the tune rows alone: one half of the groups chooses, the other tests."""
    units = sorted({_unit(one) for one in rows}, key=digest)
    chooses = set(units[: len(units) // 2])
    evidence = Evidence(
        tune=tuple(one for one in rows if _unit(one) in chooses),
        certify=tuple(one for one in rows if _unit(one) not in chooses),
        n_train=len(workspace.part(task, "train")),
        split="a rehearsal: halves of the tune rows, by group",
        data={},
        reference=task.reference_is,
        binary=is_binary(task),
        encoder=static_encoder(),
    )
    terms = Terms(
        settings="",
        tiers={},
        today=workspace.environment.today,
        review_days=workspace.project.review_days,
        baseline=workspace.project.baseline,
        allow_relook=True,
    )
    return certify_task(task, evidence, terms)


def _unit(one: Outcome) -> str:
    return one.group or one.query_id


def _summed(one: Certified, seed: int) -> Rehearsed:
    from stepdown.core.replay_array import replay_array

    locked, table = one.locked, one.certify_table
    done = replay_array(locked.policy, table, locked.signals)
    stated = locked.guarantee
    cost = [None if isnan(value) else float(value) for value in done.cost_usd.tolist()]
    kept = [name != one.task.ceiling for name in done.answer.tolist()]
    return Rehearsed(
        state=stated.state,
        tiers=locked.policy.tiers,
        bound=stated.bound,
        level=stated.level,
        n=stated.n_certify,
        keeps=sum(kept) / len(kept) if kept else 0.0,
        cost_usd=thousand(cost, seed),
        why=stated.why,
    )
