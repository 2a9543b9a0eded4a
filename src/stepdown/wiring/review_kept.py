"""What the last look at the promises found, kept for pages that must be fast: it counts nothing."""

from __future__ import annotations

from pathlib import Path

import msgspec

from stepdown.adapters.tables.atomic import replacing
from stepdown.review.status import Status
from stepdown.wiring.workspace import Workspace

FILE = "review/status.json"


def keep_status(workspace: Workspace, found: Status) -> None:
    """Write a status for those who must not wait for the ledger; no text of a request is in it."""
    bare = msgspec.structs.replace(
        found,
        tasks=tuple(msgspec.structs.replace(one, examples=()) for one in found.tasks),
    )
    path = _path(workspace)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_bytes(msgspec.json.encode(bare))


def kept_status(workspace: Workspace) -> Status | None:
    """Return the status that the last look wrote, None where none did or it cannot be read."""
    try:
        return msgspec.json.decode(_path(workspace).read_bytes(), type=Status)
    except (OSError, msgspec.MsgspecError):
        return None


def _path(workspace: Workspace) -> Path:
    return workspace.project.state / FILE
