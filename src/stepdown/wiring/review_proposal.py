"""The lock that a review proposes: written beside, applied, or put on a git branch to be merged.

A test spends rows whether or not somebody applies what came of it, so its looks are kept beside
the proposal and count at the next review.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from stepdown import __version__
from stepdown.adapters.tables.atomic import replacing
from stepdown.core.lock import VERSION, Lock, Look
from stepdown.errors import DataError, LockError
from stepdown.wiring.frontier_file import write_frontier
from stepdown.wiring.lockfile import LOCKS, keep_lock, read_lock, write_lock
from stepdown.wiring.reviewing import Reviewed
from stepdown.wiring.workspace import Workspace

FOLDER = "review"
PROPOSED = "proposed.lock"
LOOKS = "looks.json"


class Proposal(Struct, frozen=True, kw_only=True):
    """A proposed lock, and the digest of the lock that it was made from."""

    lock: Lock
    made_from: str
    path: Path

    @property
    def differs(self) -> bool:
        """Whether anything in the lock would change."""
        return self.lock.digest != self.made_from


def folder_of(workspace: Workspace) -> Path:
    """Return where the files of reviews are."""
    return workspace.project.state / FOLDER


def propose(workspace: Workspace, found: Sequence[Reviewed], old: Lock) -> Proposal:
    """Write the proposed lock beside the one in force, and keep the looks that were taken.

    Raises:
        DataError: it cannot be written.
    """
    new = {one.task.name: one.locked for one in found if one.locked is not None}
    lock = Lock(
        version=VERSION,
        generator=f"stepdown {__version__}",
        project=old.project,
        tasks={name: new.get(name, task) for name, task in old.tasks.items()},
    )
    folder = folder_of(workspace)
    folder.mkdir(parents=True, exist_ok=True)
    made = Proposal(lock=lock if new else old, made_from=old.digest, path=folder / PROPOSED)
    _keep_looks(folder, {name: task.guarantee.looks for name, task in new.items()})
    write_lock(made.path, made.lock)
    return made


def earlier_looks(workspace: Workspace) -> Mapping[str, Sequence[Look]]:
    """Return the looks that reviews took, applied or not, by task.

    Raises:
        DataError: the file that holds them cannot be read.
    """
    path = folder_of(workspace) / LOOKS
    if not path.exists():
        return {}
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, list[Look]])
    except (OSError, msgspec.MsgspecError) as error:
        raise DataError(
            f"{path.name}, which says which rows reviews have tested, cannot be read: {error}.",
            "Restore it; without it rows would be tested twice and the promise would not hold.",
        ) from None


def _keep_looks(folder: Path, taken: Mapping[str, Sequence[Look]]) -> None:
    path = folder / LOOKS
    kept: dict[str, list[Look]] = {}
    if path.exists():
        kept = msgspec.json.decode(path.read_bytes(), type=dict[str, list[Look]])
    for name, looks in taken.items():
        known = kept.setdefault(name, [])
        known += [one for one in looks if one not in known]
    with replacing(path) as part:
        part.write_bytes(msgspec.json.format(msgspec.json.encode(kept)))


def apply(workspace: Workspace, proposal: Proposal, found: Sequence[Reviewed]) -> None:
    """Put the proposed lock in force; the one that was is kept.

    Raises:
        LockError: the lock in force is not the one that the proposal was made from.
    """
    path = workspace.lock_path
    if read_lock(path).digest != proposal.made_from:
        raise LockError(
            f"{path.name} has changed since this review began.",
            "Run `stepdown review` again: it starts from the lock in force.",
        )
    keep_lock(path, workspace.project.state / LOCKS)
    write_lock(path, proposal.lock)
    for one in found:
        if one.found is not None and one.locked is not None:
            write_frontier(workspace.project.state, one.task.name, one.found)
