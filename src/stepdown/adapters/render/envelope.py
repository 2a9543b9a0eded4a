"""The one JSON document that `--json` prints."""

from collections.abc import Sequence
from pathlib import PurePath

import msgspec

from stepdown.adapters.render.printable import printable


def envelope(command: str, version: str, data: object, warnings: Sequence[str] = ()) -> bytes:
    """Encode one result as `{"command", "version", "data", "warnings"}` and a line end.

    JSON has no NaN and no infinities: they are written as null, which means unknown.

    Raises: TypeError when `data` holds a value that has no JSON form.
    """
    document = {"command": command, "version": version, "data": data, "warnings": list(warnings)}
    try:
        encoded = msgspec.json.encode(document, enc_hook=_plain)
    except UnicodeEncodeError:  # a lone surrogate, which a log may hold, has no UTF-8 form
        encoded = msgspec.json.encode(_encodable(msgspec.to_builtins(document, enc_hook=_plain)))
    return encoded + b"\n"


def _plain(value: object) -> object:
    """Return paths as text, and array libraries' numbers and arrays as Python's own."""
    if isinstance(value, PurePath):
        return str(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _encodable(value: object) -> object:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {_encodable(key): _encodable(item) for key, item in value.items()}
    return [_encodable(item) for item in value] if isinstance(value, list | tuple) else value
