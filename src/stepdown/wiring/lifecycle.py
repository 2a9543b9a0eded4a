"""What is done with registered artifacts: promote, go back, and what would be lost by deleting one.

A promotion changes the registry only. What `serve` answers with is pinned by the lock.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from stepdown.core.artifact import Artifact
from stepdown.core.beside import Change
from stepdown.core.lock import Lock
from stepdown.errors import InputError, LockError
from stepdown.wiring.lockfile import LOCKS, read_lock
from stepdown.wiring.workspace import Workspace

CERTIFY = "The lock still pins what was certified: run `stepdown certify {task}` to serve it."


class Promotion(Struct, frozen=True, kw_only=True):
    """What serves a tier now, what it replaced, and what the user must know."""

    now: Artifact
    before: Artifact | None = None
    notes: tuple[str, ...] = ()


def chosen(workspace: Workspace, word: str, tier: str = "") -> Artifact:
    """Return the artifact that a user means: digits of a digest, or a task's newest candidate.

    Raises:
        InputError: there is none, or several.
    """
    if word not in workspace.project.tasks:
        return workspace.models.registry.find(word)
    every = workspace.models.registry.all()
    found = [a for a in every if a.task == word and tier in ("", a.tier)]
    waiting = [a for a in found if a.state == "candidate"]
    tiers = sorted({a.tier for a in waiting})
    if len(tiers) > 1:
        raise InputError(f"{word} has candidates for {', '.join(tiers)}.", "Name the tier too.")
    if not waiting:
        known = ", ".join(f"{a.tier} {a.short} ({a.state})" for a in found)
        raise InputError(
            f"There is no candidate for {word} {tier}".rstrip() + ".",
            f"Registered: {known}. Give a digest." if known else "Train one: `stepdown train`.",
        )
    return waiting[-1]


def worse_than(new: Artifact, old: Artifact | None) -> str:
    """Say why somebody should think twice before an artifact replaces another, "" where nobody."""
    if old is None or old.digest == new.digest:
        return ""
    if None in (new.score, new.score_high):
        return f"Nobody measured {new.short}"
    if old.score_low is None or old.score is None:
        return f"Nobody measured {old.short}, which serves now"
    assert new.score is not None
    assert new.score_high is not None
    if new.score_high < old.score_low:
        return (
            f"{new.short} scores {new.score:.3f} (at most {new.score_high:.3f}, n {new.n}), "
            f"below the {old.score:.3f} (at least {old.score_low:.3f}, n {old.n}) of {old.short}"
        )
    return ""


def promote(workspace: Workspace, artifact: Artifact, by: str) -> Promotion:
    """Let an artifact serve its tier from the next certificate on.

    Raises:
        DataError: its files are not what was registered; nothing is changed.
    """
    registry = workspace.models.registry
    before = registry.promoted(artifact.task, artifact.tier)
    now = registry.promote(artifact, by)
    return _done(workspace, now, before, by)


def roll_back(workspace: Workspace, task: str, tier: str, by: str) -> Promotion:
    """Let the parent of what serves a task's tier serve again; raises what the registry raises."""
    registry = workspace.models.registry
    before, now = registry.roll_back(task, tier or _only_tier(workspace, task), by)
    return _done(workspace, now, before, by)


def _only_tier(workspace: Workspace, task: str) -> str:
    every = workspace.models.registry.all()
    tiers = sorted({a.tier for a in every if a.task == task and a.state == "promoted"})
    if len(tiers) != 1:
        said = f"has artifacts for {', '.join(tiers)}" if tiers else "has nothing promoted"
        raise InputError(f"{task} {said}.", "Name the tier: `stepdown models rollback TASK TIER`.")
    return tiers[0]


def _done(workspace: Workspace, now: Artifact, before: Artifact | None, by: str) -> Promotion:
    if now.task in workspace.project.tasks:
        workspace.models.forget(workspace.project.task(now.task), now.tier)
    _note(workspace, now, before, by)
    return Promotion(now=now, before=before, notes=notes_on(workspace, now))


def notes_on(workspace: Workspace, now: Artifact) -> tuple[str, ...]:
    """Return what stands between a promoted artifact and the traffic."""
    if not workspace.lock_path.exists():
        return (f"There is no lock yet: run `stepdown certify {now.task}` to serve it.",)
    locked = workspace.lock().tasks.get(now.task)
    if locked is None or now.tier not in locked.tiers:
        return (f"The lock does not use {now.tier} of {now.task}: certify it to serve it.",)
    if locked.tiers[now.tier].digest in (now.digest, now.answers_as):
        return ("The lock pins this very artifact: nothing else is to be done.",)
    return (CERTIFY.format(task=now.task),)


def waiting(workspace: Workspace) -> tuple[str, ...]:
    """Return, for each locked tier with another artifact promoted since, what to do about it."""
    shelf, found = workspace.models.registry.shelf(), []
    for name, task in workspace.lock().tasks.items():
        for tier, locked in task.tiers.items():
            now = shelf.promoted(name, tier)
            pinned = shelf.locked_as(name, tier, locked.digest)
            if now is not None and pinned is not None and now.digest != pinned.digest:
                found.append(
                    f"{name}: {tier} answers with {pinned.short}, which was certified; {now.short} "
                    f"is promoted since. Run `stepdown certify {name}` to serve it."
                )
    return tuple(found)


def _note(workspace: Workspace, now: Artifact, before: Artifact | None, by: str) -> None:
    """Write the change into the ledger too, where there is one."""
    if not workspace.ledger_path.exists():
        return
    change = Change(
        id=secrets.token_hex(12),
        at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        by=by,
        what="model",
        task=now.task,
        before="" if before is None else before.digest,
        after=now.digest,
    )
    with workspace.ledger() as ledger:
        ledger.note(change)


def locks_of(workspace: Workspace) -> tuple[tuple[str, Lock], ...]:
    """Return the lock of now and those that were served or replaced, each with its name."""
    kept = sorted((workspace.project.state / LOCKS).glob("*.lock"))
    found = []
    for name, path in [("stepdown.lock", workspace.lock_path), *((p.name, p) for p in kept)]:
        lock = _readable(path)
        if lock is not None:
            found.append((name, lock))
    return tuple(found)


def _readable(path: Path) -> Lock | None:
    try:
        return read_lock(path) if path.exists() else None
    except LockError:  # what cannot be read pins nothing
        return None


def used_by(artifact: Artifact, locks: Iterable[tuple[str, Lock]]) -> tuple[str, ...]:
    """Return the names of the locks that pin an artifact."""
    found = []
    for name, lock in locks:
        task = lock.tasks.get(artifact.task)
        tier = None if task is None else task.tiers.get(artifact.tier)
        if tier is not None and tier.digest in (artifact.digest, artifact.answers_as):
            found.append(name)
    return tuple(found)


def prunable(workspace: Workspace, keep: int) -> tuple[Artifact, ...]:
    """Return what may be deleted: retired, pinned by no lock, and not among the newest `keep` of
    its tier; the parent of what serves stays, so that one can go back.

    Where a lock pins a tier by a digest that no artifact is known by, all of that tier stays.
    """
    every, locks = workspace.models.registry.all(), locks_of(workspace)
    parents = {(a.task, a.tier, a.parent) for a in every if a.state == "promoted"}
    newest = _newest(every, keep)
    return tuple(
        a
        for a in every
        if a.state == "retired"
        and a.key not in parents
        and a.key not in newest
        and not used_by(a, locks)
        and not _unknown_pin(a, every, locks)
    )


def _unknown_pin(
    artifact: Artifact, every: Sequence[Artifact], locks: Sequence[tuple[str, Lock]]
) -> bool:
    """Tell whether a lock pins the artifact's tier by a digest that nothing is registered under."""
    mine = [a for a in every if (a.task, a.tier) == (artifact.task, artifact.tier)]
    known = {digest for a in mine for digest in (a.digest, a.answers_as)}
    pins = [
        task.tiers[artifact.tier].digest
        for _, lock in locks
        if (task := lock.tasks.get(artifact.task)) is not None and artifact.tier in task.tiers
    ]
    return any(pin not in known for pin in pins)


def _newest(every: Sequence[Artifact], keep: int) -> set[tuple[str, str, str]]:
    found: set[tuple[str, str, str]] = set()
    for task, tier in {(a.task, a.tier) for a in every}:
        mine = [a for a in every if (a.task, a.tier, a.state) == (task, tier, "retired")]
        found |= {a.key for a in mine[len(mine) - keep :]} if keep else set()
    return found


def prune(workspace: Workspace, artifacts: Sequence[Artifact], by: str) -> None:
    """Forget artifacts and remove their files, as far as no other artifact has the same file."""
    registry = workspace.models.registry
    for artifact in artifacts:
        registry.remove(artifact, by)
        shared = {name for a in registry.all() for name in a.named()}
        for name in artifact.named():
            path = registry.folder / name
            if name not in shared and path.is_file():
                path.unlink()
