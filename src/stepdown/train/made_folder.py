"""A folder that a recipe made: one digest for all that decides an answer, and the check of it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from stepdown.core.digest import digest
from stepdown.errors import WeightsError

CARD = "card.json"  # tells of the training, decides no answer, and holds a date


def folder_digest(folder: Path) -> str:
    """Return the digest of the names and bytes of all files in a folder but its card."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != CARD:
            with path.open("rb") as file:
                name = path.relative_to(folder).as_posix()
                found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return digest(found)


def check_folder(folder: Path, wanted: str) -> None:
    """Refuse a folder that is not there, or not the one that was registered.

    Raises:
        WeightsError: says both digests.
    """
    if not folder.is_dir():
        raise WeightsError(
            f"There is no folder {str(folder)!r}.", "Restore it, or run `stepdown train` again."
        )
    found = folder_digest(folder)
    if found != wanted:
        raise WeightsError(
            f"The files in {str(folder)!r} have the digest {found}, expected {wanted}.",
            "They were changed or damaged: restore them, or run `stepdown train` again.",
        )
