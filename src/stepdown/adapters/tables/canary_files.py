"""Keep canaries: `canaries/TIER.jsonl`, one a line, written whole; meant to be committed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

import msgspec

from stepdown.adapters.tables.atomic import replacing
from stepdown.core.canary import Canary
from stepdown.errors import DataError

FOLDER = "canaries"


def canary_path(root: Path, tier: str) -> Path:
    """Return where the canaries of a tier are."""
    return root / FOLDER / f"{quote(tier, safe='')}.jsonl"


def read_canaries(root: Path, tier: str) -> tuple[Canary, ...]:
    """Return the canaries of a tier, none when it has no file.

    Raises:
        DataError: a line is no canary; names it.
    """
    path = canary_path(root, tier)
    if not path.exists():
        return ()
    decode = msgspec.json.Decoder(Canary).decode
    found = []
    with path.open("rb") as file:
        for line, raw in enumerate(file, 1):
            try:
                found.append(decode(raw))
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                raise DataError(
                    f"{path}, line {line}: not a canary: {error}.",
                    "Restore the file, or pin again: stepdown eval check --pin.",
                ) from None
    return tuple(found)


def write_canaries(root: Path, tier: str, canaries: Iterable[Canary]) -> Path:
    """Write the canaries of a tier, all or none.

    Raises:
        DataError: the file cannot be written.
    """
    path = canary_path(root, tier)
    with replacing(path) as temporary:
        temporary.write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in canaries))
    return path
