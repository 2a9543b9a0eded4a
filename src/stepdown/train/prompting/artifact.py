"""Write a tuned prompt as a file: JSON with the prompt, what it was before, and a card."""

from __future__ import annotations

from pathlib import Path

from stepdown.core.digest import digest_bytes
from stepdown.core.tuned_prompt import TunedPrompt, dump_prompt


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
