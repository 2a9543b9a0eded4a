"""Change what a running gateway serves: a share, a way back, the lock before this one.

Each change is written to the ledger with its time and by whom; gateways see the file within a
second.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from stepdown.adapters.tables.atomic import replacing
from stepdown.core.beside import Change
from stepdown.core.exposure import TODAY, Exposure, read_exposure
from stepdown.core.lock import Lock
from stepdown.errors import InputError, LockError
from stepdown.wiring.exposing import (
    Told,
    path_of,
    ramped,
    sample_of,
    served_now,
    write_spoken,
)
from stepdown.wiring.lockfile import LOCKS, keep_lock, read_lock
from stepdown.wiring.measuring import gateways
from stepdown.wiring.workspace import Workspace


def read_shares(workspace: Workspace, said: Sequence[str]) -> dict[str, Exposure]:
    """Return what `TASK=SHARE` words ask for.

    Raises:
        InputError: a word of another shape, or an embed task.
        ConfigError: an unknown task; names the nearest.
    """
    found = {}
    for word in said:
        name, equals, share = word.partition("=")
        if not equals:
            raise InputError(f"{word!r} is not TASK=SHARE.", "For example `intent=0.05`.")
        task = _ramped(workspace, name)
        try:
            found[task] = read_exposure(share, shadow=_shadow(workspace, task))
        except ValueError as error:
            raise InputError(f"{word}: {error}.") from None
    return found


def _ramped(workspace: Workspace, name: str) -> str:
    task = workspace.project.task(name).name
    if task not in ramped(workspace.project):
        raise InputError(
            f"The embed task {task!r} has no share: vectors of two models do not mix.",
            "To change its tier, certify another one and index anew.",
        )
    return task


def _shadow(workspace: Workspace, task: str) -> float:
    """What is shadowed goes on being shadowed; else what stepdown.toml says."""
    return _now_served(workspace)[task].shadow or sample_of(workspace.project, task)


def change_shares(
    workspace: Workspace, wanted: Mapping[str, Exposure], by: str
) -> tuple[Change, ...]:
    """Let the gateways serve these exposures from now on."""
    return _say(workspace, wanted, by, "share")


def roll_back(workspace: Workspace, tasks: Sequence[str], by: str) -> tuple[Change, ...]:
    """Let today's model answer everything of these tasks, of all tasks when none is named."""
    named = [_ramped(workspace, name) for name in tasks]
    wanted = dict.fromkeys(named or ramped(workspace.project), TODAY)
    return _say(workspace, wanted, by, "rollback")


def _say(
    workspace: Workspace, wanted: Mapping[str, Exposure], by: str, what: str
) -> tuple[Change, ...]:
    path = path_of(workspace.project)
    before, at = _now_served(workspace), _now()
    told = {
        name: Told(share=one.share, shadow=one.shadow, by=by, at=at) for name, one in wanted.items()
    }
    write_spoken(path, told)
    changes = tuple(
        Change(
            id=secrets.token_hex(12),
            at=at,
            by=by,
            what=what,  # type: ignore[arg-type]
            task=name,
            before=str(before[name]),
            after=str(one),
        )
        for name, one in wanted.items()
    )
    _note(workspace, changes)
    return changes


def _now_served(workspace: Workspace) -> dict[str, Exposure]:
    project = workspace.project
    return served_now(project, running=gateways(project.state) > 0)


def _note(workspace: Workspace, changes: Sequence[Change]) -> None:
    with workspace.ledger() as ledger:
        for change in changes:
            ledger.note(change)


def note_served(workspace: Workspace, lock: Lock, by: str) -> Change | None:
    """Keep the lock that is served now, and note it where the last one served was another."""
    keep_lock(workspace.lock_path, workspace.project.state / LOCKS)
    with workspace.ledger() as ledger:
        served = [one.after for one in ledger.records(Change) if one.what == "lock"]
        if served and served[-1] == lock.digest:
            return None
        change = _lock_change(served[-1] if served else "", lock.digest, by)
        ledger.note(change)
    return change


def restore_lock(workspace: Workspace, by: str) -> tuple[Lock, Change]:
    """Put the lock back that was served before the present one; keep the present one too.

    Raises:
        LockError: no other lock was served or replaced here, or it no longer fits the project.
    """
    path, folder = workspace.lock_path, workspace.project.state / LOCKS
    present = read_lock(path).digest if path.exists() else ""
    keep_lock(path, folder)
    found = _before(workspace, folder, present)
    lock = read_lock(found)
    _check_fits(workspace, lock, found)
    text = found.read_bytes()
    with replacing(path) as part:
        part.write_bytes(text)
    change = _lock_change(present, lock.digest, by)
    _note(workspace, [change])
    return lock, change


def _before(workspace: Workspace, folder: Path, present: str) -> Path:
    with workspace.ledger() as ledger:
        changes = [one for one in ledger.records(Change) if one.what == "lock"]
    served = [digest for one in reversed(changes) for digest in (one.after, one.before)]
    by_age = sorted(folder.glob("*.lock"), key=lambda path: path.stat().st_mtime, reverse=True)
    kept = {f"sha256:{path.stem}": path for path in by_age}
    for name in [*served, *kept]:
        if name in kept and name != present:
            return kept[name]
    raise LockError(
        "There is no earlier lock to go back to.",
        f"{folder} keeps locks that were served or replaced; version control may have others.",
    )


def _check_fits(workspace: Workspace, lock: Lock, path: Path) -> None:
    """Refuse a lock that the gateway would refuse for what stepdown.toml says now."""
    for name, locked in lock.tasks.items():
        task = workspace.project.tasks.get(name)
        if task is None:
            continue
        same = locked.settings == workspace.project.settings_digest(task)
        if not same or locked.contract != task.contract.digest:
            raise LockError(
                f"The lock {path.name} was certified for another stepdown.toml: the settings of "
                f"{name!r} have changed since.",
                "Restore stepdown.toml as well, from version control, or `stepdown rollback` "
                "without --lock: today's model answers then.",
            )


def _lock_change(before: str, after: str, by: str) -> Change:
    return Change(
        id=secrets.token_hex(12), at=_now(), by=by, what="lock", before=before, after=after
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
