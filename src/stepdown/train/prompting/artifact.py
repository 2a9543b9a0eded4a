"""A tuned prompt as a file: JSON with the prompt, what it was before, and a card.

The digest is that of the file's bytes. It holds no weights and no code.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from stepdown.core.contract import Prompt
from stepdown.core.digest import digest_bytes
from stepdown.errors import WeightsError

MAX_BYTES = 2**20


class TunedPrompt(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The prompt of a tier of a task. `before` is what it had, None for the caller's own request.

    `model` is the tier's model as configured when it was tuned; the card holds plain values.
    """

    task: str
    tier: str
    model: str
    prompt: Prompt
    before: Prompt | None = None
    card: Mapping[str, Any] = {}
    format: Literal["stepdown-prompt/1"] = "stepdown-prompt/1"


def dump_prompt(tuned: TunedPrompt) -> bytes:
    """Return the bytes of the file; equal values give equal bytes."""
    return msgspec.json.format(msgspec.json.encode(tuned, order="sorted"), indent=2) + b"\n"


def save_prompt(tuned: TunedPrompt, folder: Path) -> tuple[Path, str]:
    """Write the file atomically; return its path and its digest."""
    data = dump_prompt(tuned)
    mark = digest_bytes(data)
    target = folder / f"{tuned.task}-{tuned.tier}-{mark.removeprefix('sha256:')[:12]}.json"
    folder.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    part.write_bytes(data)
    part.replace(target)
    return target, mark


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
