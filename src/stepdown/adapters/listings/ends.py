"""Announced ends of models: the file that ships, and a user's own in the same shape.

A user's file may also be what a provider's list endpoint answered (`{"data": [{"id": ...}]}`).
"""

from __future__ import annotations

import tomllib
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from stepdown.adapters.listings.lists import read_list
from stepdown.core.offered import Offered
from stepdown.errors import DataError

LIMIT_BYTES = 16 * 2**20


class Ending(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Models that end on a day; `read` is when somebody last looked at the source."""

    provider: str
    models: tuple[str, ...]
    shutdown: date
    source: str
    read: date
    replacement: str = ""


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    deprecations: tuple[Ending, ...]


def shipped() -> tuple[Offered, ...]:
    """Return the ends that this version of the package knows."""
    text = files("stepdown.adapters.listings").joinpath("deprecations.toml").read_text("utf-8")
    return _offered(msgspec.convert(tomllib.loads(text), _File))


def read_ends(path: Path) -> tuple[Offered, ...]:
    """Return what a user's file says: TOML or JSON of our shape, or a provider's list as JSON.

    Raises:
        DataError: it cannot be read, or has another shape; says what is expected.
    """
    try:
        if path.stat().st_size > LIMIT_BYTES:
            raise ValueError(f"it is larger than {LIMIT_BYTES:,} bytes")
        plain = _plain(path)
        if isinstance(plain, dict) and "data" in plain:
            return read_list(plain, provider="", source=path.name)
        return _offered(msgspec.convert(plain, _File))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            f"{path} cannot be read: {error}.",
            "Write [[deprecations]] with provider, models, shutdown, source and read as TOML or "
            "JSON, or give what a provider's /v1/models answered.",
        ) from None


def _plain(path: Path) -> Any:
    text = path.read_bytes()
    if path.suffix == ".toml":
        return tomllib.loads(text.decode())
    return msgspec.json.decode(text)


def _offered(found: _File) -> tuple[Offered, ...]:
    return tuple(
        Offered(
            id=model,
            provider=one.provider,
            shutdown=one.shutdown,
            replacement=one.replacement,
            source=f"{one.source}, read {one.read}",
        )
        for one in found.deprecations
        for model in one.models
    )
