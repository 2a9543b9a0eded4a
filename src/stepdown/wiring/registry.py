"""The registry of trained artifacts: which file serves which task and tier, under which digest.

A JSON file beside the artifacts, rewritten atomically. It does not load a model.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct

from stepdown.adapters.tables.atomic import replacing
from stepdown.errors import DataError

FILE = "registry.json"


class Artifact(Struct, frozen=True, kw_only=True):
    """One trained file. `score` is on rows that it was not trained on."""

    task: str
    tier: str
    file: str
    digest: str
    recipe: str
    data_digest: str
    date: str
    score: float | None = None
    score_low: float | None = None
    score_high: float | None = None
    n: int = 0
    size_bytes: int = 0
    state: str = "promoted"


class Registry:
    """Read and write the artifacts of a project."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def all(self) -> tuple[Artifact, ...]:
        """Return every artifact, oldest first.

        Raises:
            DataError: the registry is not readable.
        """
        path = self.folder / FILE
        if not path.exists():
            return ()
        try:
            return tuple(msgspec.json.decode(path.read_bytes(), type=list[Artifact]))
        except (OSError, msgspec.MsgspecError) as error:
            raise DataError(
                f"The registry {path.name} cannot be read: {error}.",
                "Restore it, or move it away and train again.",
            ) from None

    def promoted(self, task: str, tier: str) -> Artifact | None:
        """Return the artifact that serves a task's tier, None when nothing was trained."""
        found = [a for a in self.all() if (a.task, a.tier, a.state) == (task, tier, "promoted")]
        return found[-1] if found else None

    def add(self, artifact: Artifact) -> None:
        """Register an artifact; what a promoted one replaces stays, as retired."""
        same = (artifact.task, artifact.tier, "promoted")
        replaced = artifact.state == "promoted"
        rest = [
            _retired(a) if replaced and (a.task, a.tier, a.state) == same else a for a in self.all()
        ]
        kept = [a for a in rest if a.digest != artifact.digest]
        self._write([*kept, artifact])

    def _write(self, artifacts: list[Artifact]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with replacing(self.folder / FILE) as path:
            path.write_bytes(msgspec.json.format(msgspec.json.encode(artifacts)))


def _retired(artifact: Artifact) -> Artifact:
    return msgspec.structs.replace(artifact, state="retired")
