"""Keep regression suites: `models/suites/TASK-TIER-DIGEST.json`, each written whole."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import msgspec

from stepdown.adapters.tables.atomic import replacing
from stepdown.core.suite import VERSION, Suite
from stepdown.errors import DataError

FOLDER = "suites"
MARK = 12  # digits of the tier's digest in a file name
LIMIT_BYTES = 64 * 2**20


def suite_name(task: str, tier: str, digest: str) -> str:
    """Return the path of a suite, relative to the folder of the registry."""
    mark = digest.removeprefix("sha256:")[:MARK]
    return f"{FOLDER}/{quote(task, safe='')}-{quote(tier, safe='')}-{mark}.json"


def read_suite(folder: Path, task: str, tier: str, digest: str) -> Suite | None:
    """Return the suite of a tier with a digest, None where none was pinned.

    Raises:
        DataError: the file is no suite, or one of something else.
    """
    path = folder / suite_name(task, tier, digest)
    if not path.exists():
        return None
    try:
        if path.stat().st_size > LIMIT_BYTES:
            raise ValueError(f"it is larger than {LIMIT_BYTES:,} bytes")
        found = msgspec.json.decode(path.read_bytes(), type=Suite)
        if found.version != VERSION:
            raise ValueError(f"version {found.version}; this program reads {VERSION}")
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            f"The suite {path.name} cannot be read: {error}.",
            "Restore it, or pin again: stepdown verify --repin.",
        ) from None
    if (found.task, found.tier, found.digest) != (task, tier, digest):
        raise DataError(
            f"The suite {path.name} is of {found.task} {found.tier} {found.digest[:19]}.",
            "It was renamed or edited: restore it.",
        )
    return found


def write_suite(folder: Path, suite: Suite) -> str:
    """Write a suite, whole or not at all; returns its path relative to the folder."""
    name = suite_name(suite.task, suite.tier, suite.digest)
    with replacing(folder / name) as path:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(suite)) + b"\n")
    return name
