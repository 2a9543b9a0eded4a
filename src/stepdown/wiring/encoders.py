"""Open an encoder by its name in the configuration: the same one here and on a worker."""

from __future__ import annotations

from pathlib import Path

from stepdown.errors import ConfigError
from stepdown.ports.encoder import Encoder

STATIC = "static-minilm-256"


def open_encoder(name: str, cache: Path) -> Encoder:
    """Return an encoder; its weights are fetched into `cache` where they are not there.

    Raises:
        ConfigError: there is none of that name.
        WeightsError: its weights cannot be fetched.
    """
    if name == STATIC:
        from stepdown.adapters.encoders.static import load_static

        return load_static()
    from stepdown.adapters.encoders.minilm import load_minilm
    from stepdown.adapters.weights.pull import pull

    if name != "all-minilm-l6-v2":
        raise ConfigError(f"Unknown encoder {name!r}.", f"Known: {STATIC}, all-minilm-l6-v2.")
    return load_minilm(pull(name, cache), cache)
