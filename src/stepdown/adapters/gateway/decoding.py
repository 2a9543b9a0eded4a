"""Decode a JSON body into a struct, and keep what the struct does not know.

A body without unknown fields is decoded once. It does not know which fields there are.
"""

from __future__ import annotations

import re
from typing import Generic, TypeVar

import msgspec
from msgspec import Raw, Struct

from stepdown.adapters.gateway.faults import BadBodyError

T = TypeVar("T", bound=Struct)
_AT = re.compile(r" - at `\$\.?(.*?)`$")
_MISSING = re.compile(r"missing required field `(\w+)`")


class Decoding(Generic[T]):
    """Decode bodies of one kind."""

    def __init__(self, kind: type[T]) -> None:
        self._known = frozenset(kind.__struct_encode_fields__)
        strict = msgspec.defstruct(
            kind.__name__, [], bases=(kind,), frozen=True, forbid_unknown_fields=True
        )
        self._strict: msgspec.json.Decoder[T] = msgspec.json.Decoder(strict)
        self._tolerant = msgspec.json.Decoder(kind)
        self._fields = msgspec.json.Decoder(dict[str, Raw])

    def __call__(self, body: bytes) -> tuple[T, dict[str, Raw]]:
        """Return the struct, and the fields of the body that it does not know, nulls left out.

        Raises:
            BadBodyError: not JSON, not UTF-8, too deep, or a field of a wrong type (named).
        """
        try:
            return self._strict.decode(body), {}
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self._slowly(body)

    def _slowly(self, body: bytes) -> tuple[T, dict[str, Raw]]:
        try:
            found, fields = self._tolerant.decode(body), self._fields.decode(body)
        except msgspec.ValidationError as error:
            raise _named(str(error)) from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadBodyError(f"the body is not valid JSON: {error}") from error
        except RecursionError as error:
            raise BadBodyError("the body is nested too deeply") from error
        rest = {n: v for n, v in fields.items() if n not in self._known and bytes(v) != b"null"}
        return found, rest


def _named(said: str) -> BadBodyError:
    found = _AT.search(said)
    param = found.group(1) if found else None
    missing = _MISSING.search(said)
    if missing:
        param = f"{param}.{missing.group(1)}" if param else missing.group(1)
    return BadBodyError(said, param or None)
