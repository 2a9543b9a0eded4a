"""The files of an artifact, and whether they are still what was registered."""

from __future__ import annotations

import hashlib
from pathlib import Path

from stepdown.core.artifact import Artifact
from stepdown.errors import DataError


def files_of(folder: Path, name: str) -> dict[str, str]:
    """Return path -> digest of a file, or of every file in a folder; none where it is not there."""
    root = folder / name
    found = [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.is_file())
    return {path.relative_to(folder).as_posix(): digest_of_file(path) for path in found}


def digest_of_file(path: Path) -> str:
    """Return `sha256:` and the digest of a file's bytes, read in pieces."""
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, hashlib.sha256).hexdigest()


def size_of(folder: Path, artifact: Artifact) -> int:
    """Return the bytes of an artifact's files that are there."""
    paths = [folder / name for name in artifact.files or (artifact.file,)]
    return sum(path.stat().st_size for path in paths if path.is_file())


def problems_of(folder: Path, artifact: Artifact) -> list[str]:
    """Return what is wrong with an artifact's files, in sentences; [] where nothing is."""
    if not artifact.files:
        there = (folder / artifact.file).exists()
        return [] if there else [f"{artifact.file} is gone"]
    found = []
    for name, was in artifact.files.items():
        try:
            now = digest_of_file(folder / name)
        except OSError as error:
            found.append(f"{name} cannot be read: {error.strerror}")
            continue
        if now != was:
            found.append(f"{name} has digest {now[:19]}…, registered was {was[:19]}…")
    return found


def check_files(folder: Path, artifact: Artifact) -> None:
    """Refuse an artifact whose files are not what was registered.

    Raises:
        DataError: names the first file, and both digests.
    """
    wrong = problems_of(folder, artifact)
    if wrong:
        raise DataError(
            f"The artifact {artifact.short} of {artifact.task} {artifact.tier} is damaged: "
            f"{wrong[0]}.",
            "Restore the file, or train again; nothing was changed.",
        )
