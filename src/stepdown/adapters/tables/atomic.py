"""Write a file whole or not at all: a temporary file beside it, then one rename."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from stepdown.errors import DataError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path; when the block ends well it becomes `path`, otherwise it is removed.

    Raises:
        DataError: the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)  # noqa: PTH105 - the call that POSIX makes atomic
    except OSError as error:
        raise DataError(
            f"{path} cannot be written: {error.strerror or error}.",
            "Check the disk and the permissions of the folder; the old file is unchanged.",
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
