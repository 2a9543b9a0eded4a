"""What a recipe needs beyond the plain install, and which extra brings it."""

from __future__ import annotations

import os
from importlib.util import find_spec

from stepdown.errors import ConfigError

NEEDS = {
    "lora": ("torch", "transformers", "peft", "gguf"),
    "encoder": ("torch", "transformers"),
    "ray": ("ray",),
}
"""Extra -> modules that it brings (pyproject.toml)."""


def missing(extra: str) -> tuple[str, ...]:
    """Return the modules of an extra that are not installed; nothing is imported."""
    return tuple(name for name in NEEDS[extra] if find_spec(name) is None)


def require(extra: str) -> None:
    """Refuse to begin without the packages of an extra.

    Raises:
        ConfigError: names what is missing and the extra to install.
    """
    lacking = missing(extra)
    if lacking:
        raise ConfigError(
            f"This needs {', '.join(lacking)}, which {_are(len(lacking))} not installed.",
            f'Install the extra: pip install "stepdown[{extra}]".',
        )


def calm_threads() -> None:
    """Let torch's waiting threads sleep, where it is not loaded yet and nobody said otherwise.

    Spinning ones starve each other on a busy machine: a step on two cores that six other programs
    shared took 43 s with them and 15 s without.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _are(count: int) -> str:
    return "is" if count == 1 else "are"
