"""Read, check and write `stepdown.lock`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

from stepdown.adapters.tables.atomic import replacing
from stepdown.config.project import FILE, LOCK
from stepdown.core.lock import Lock, lock_from_plain, lock_to_plain
from stepdown.errors import LockError

SEAL = "seal"  # digest of everything else in the file
LOCKS = "locks"  # folder under .stepdown of locks that were replaced or served
TABLE = "outcomes:"  # begins the model of a tier that is known only from an outcome table
HEAD = (
    "# Written by `stepdown certify`; do not edit: the seal would no longer match.\n"
    "# Which policy serves each task, and the evidence for it. Commit it, review its diff.\n\n"
)


def read_lock(path: Path) -> Lock:
    """Read a lock.

    Raises:
        LockError: it is missing, not TOML, of another version, or not sound.
    """
    try:
        plain = tomllib.loads(path.read_text(encoding="utf-8"))
        sealed = plain.pop(SEAL, None)
        lock = lock_from_plain(plain)
    except FileNotFoundError:
        raise LockError(
            f"There is no {path.name} in {path.parent}.", "Write one with `stepdown certify`."
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LockError(
            f"{path.name} cannot be read: {error}.",
            "Restore it from version control, or write it again with `stepdown certify`.",
        ) from None
    except OSError as error:
        raise LockError(f"{path.name} cannot be read: {error.strerror}.") from None
    if sealed != lock.digest:
        raise LockError(
            f"{path.name} was changed by hand: its seal does not match what it says.",
            "Restore it from version control. Thresholds of your own belong in stepdown.toml "
            "(`thresholds`), where they are shown as declared.",
        )
    return lock


def write_lock(path: Path, lock: Lock) -> None:
    """Write a lock, whole or not at all."""
    import tomli_w

    text = HEAD + tomli_w.dumps({SEAL: lock.digest, **lock_to_plain(lock)})
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def from_table(lock: Lock) -> bool:
    """Say whether a lock was certified on an outcome table, without a project."""
    models = [tier.model for task in lock.tasks.values() for tier in task.tiers.values()]
    return bool(models) and all(model.startswith(TABLE) for model in models)


def keep_lock(path: Path, folder: Path) -> Path | None:
    """Keep a copy of a lock under its digest; None where there is no sound lock to keep."""
    try:
        name = read_lock(path).digest.removeprefix("sha256:")
        kept = folder / f"{name}.lock"
        if not kept.exists():
            text = path.read_bytes()
            with replacing(kept) as part:
                part.write_bytes(text)
    except (LockError, OSError):
        return None
    return kept


def refuse_table(lock: Lock) -> None:
    """Refuse to serve a lock whose tiers are only names in a table.

    Raises:
        LockError: names the table, and says what to do.
    """
    if from_table(lock):
        raise LockError(
            f"The lock was certified on the outcome table {lock.project.removeprefix(TABLE)!r} "
            "alone; it names no model that could be called, so it cannot be served.",
            "Write a stepdown.toml with these tiers and run `stepdown certify` there; "
            "`stepdown replay --lock` works without.",
        )


def explain_no_project(root: Path) -> None:
    """Say where there is no project, but the lock of a table, that this is why.

    Raises:
        LockError: as `refuse_table`.
    """
    lock = root / LOCK
    if not (root / FILE).exists() and lock.exists():
        refuse_table(read_lock(lock))


def check_task(
    lock: Lock, task: str, settings: str, contract: str, digests: Mapping[str, str]
) -> None:
    """Refuse to serve a task when anything that decides its answers is not what was locked.

    Raises:
        LockError: names the task, what differs, and both digests.
    """
    refuse_table(lock)
    locked = lock.tasks.get(task)
    again = "Run `stepdown certify` again, or restore what was locked."
    if locked is None:
        raise LockError(f"The lock holds no task {task!r}.", "Run `stepdown certify` first.")
    if locked.contract != contract:
        raise _differs(task, "its contract", locked.contract, contract, again)
    for tier, was in locked.tiers.items():
        now = digests.get(tier)
        if now != was.digest:
            raise _differs(task, f"the tier {tier!r}", was.digest, now or "missing", again)
    if locked.settings != settings:
        raise _differs(task, "its settings in stepdown.toml", locked.settings, settings, again)


def _differs(task: str, what: str, was: str, now: str, hint: str) -> LockError:
    return LockError(
        f"The lock is stale for the task {task!r}: {what} was {_short(was)}, is {_short(now)}.",
        hint,
    )


def _short(digest: str) -> str:
    return digest[:19] + "…" if len(digest) > 20 else digest
