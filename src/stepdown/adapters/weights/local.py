"""A model file that the user already has: `path:FILE`, optionally with its digest."""

import hashlib
from pathlib import Path

from stepdown.errors import WeightsError


def local_file(source: str) -> Path:
    """Return the absolute path that `path:FILE [sha256=DIGEST]` names.

    Raises:
        WeightsError: there is no such file, or its digest differs.
    """
    name, _, wanted = source.removeprefix("path:").partition(" sha256=")
    path = Path(name).expanduser().absolute()
    if not path.is_file():
        raise WeightsError(f"There is no file {str(path)!r}.", "Check the path after 'path:'.")
    if wanted:
        check_digest(path, wanted.strip().lower())
    return path


def check_digest(path: Path, wanted: str) -> None:
    """Raise WeightsError unless the SHA-256 of the file is `wanted`."""
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != wanted:
        raise digest_differs(path.name, wanted, found)


def digest_differs(name: str, wanted: str, found: str) -> WeightsError:
    """Build the error for a file that is not the one that was asked for."""
    return WeightsError(
        f"{name!r} has SHA-256 {found}, expected {wanted}: it is not the file that was asked for.",
        "It may be damaged or replaced. Nothing was kept. Check the source, then pull again.",
    )
