"""Read the file of a tuned prompt."""

from __future__ import annotations

from pathlib import Path

import msgspec

from stepdown.core.digest import digest_bytes
from stepdown.core.tuned_prompt import TunedPrompt
from stepdown.errors import WeightsError

MAX_BYTES = 2**20


def load_prompt(path: Path, digest: str | None = None) -> TunedPrompt:
    """Read a prompt's file and, when `digest` is given, insist on it.

    Raises:
        WeightsError: no such file, too large, no prompt, or another digest.
    """
    again = "Train it again with 'stepdown train --recipe prompt', or restore the file."
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size <= MAX_BYTES else b""
    except OSError as error:
        said = error.strerror or str(error)
        raise WeightsError(f"Cannot read the prompt at {str(path)!r}: {said}.", again) from error
    if size > MAX_BYTES:
        raise WeightsError(f"{str(path)!r} has {size} bytes; a prompt has {MAX_BYTES}.", again)
    if digest is not None and digest_bytes(data) != digest:
        raise WeightsError(
            f"The prompt at {str(path)!r} has digest {digest_bytes(data)}, expected {digest}.",
            again,
        )
    try:
        return msgspec.json.decode(data, type=TunedPrompt)
    except (msgspec.MsgspecError, ValueError) as error:
        raise WeightsError(f"{str(path)!r} is no prompt: {error}.", again) from error
