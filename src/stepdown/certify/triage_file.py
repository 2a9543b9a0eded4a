"""Keep a triage as one safetensors file with a JSON card; no pickle, no time, equal bytes.

It knows the file only: what the arrays mean is in `triage_model`.
"""

import os
import tempfile
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from stepdown.certify.triage_model import Card, Fitted, Space, Triage
from stepdown.certify.triage_shape import Waves
from stepdown.core.digest import digest_bytes
from stepdown.errors import WeightsError

_CARD_KEY = "stepdown"
_MAX_FILE_BYTES = 256 * 2**20
Kind = TypeVar("Kind", bound=Struct)
_WIDE = frozenset({"mean", "effects", "weights", "bends"})


def dump_triage(triage: Triage) -> bytes:
    """Return the bytes of the file; equal triages give equal bytes."""
    from safetensors.numpy import save

    text = msgspec.json.encode(triage.card, order="sorted").decode()
    arrays = {name: np.ascontiguousarray(a) for name, a in triage.tensors().items()}
    return save(arrays, {_CARD_KEY: text})


def digest_triage(triage: Triage) -> str:
    """Return the SHA-256 of the file's bytes."""
    return digest_bytes(dump_triage(triage))


def save_triage(triage: Triage, models_dir: Path, task: str) -> Path:
    """Write `models_dir/TASK-triage-DIGEST12.safetensors`, atomically, and return its path."""
    data = dump_triage(triage)
    mark = digest_bytes(data).removeprefix("sha256:")[:12]
    models_dir.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(prefix=".triage-", dir=models_dir)
    with os.fdopen(handle, "wb") as stream:
        stream.write(data)
    return Path(part).replace(models_dir / f"{task}-triage-{mark}.safetensors")


def load_triage(path: Path, digest: str | None = None) -> Triage:
    """Read a file and, when `digest` is given, insist on it.

    Raises:
        WeightsError: no such file, too large, not a triage, or another digest.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    data = _read(path, digest)
    try:
        return _triage(_card(data), load(data))
    except (SafetensorError, KeyError, IndexError, ValueError) as error:
        raise WeightsError(
            f"{str(path)!r} is not a triage that this version can read: {error}.",
            "Make it again with 'stepdown certify'.",
        ) from error


def _triage(card: Card, arrays: dict[str, NDArray[Any]]) -> Triage:
    for name, array in arrays.items():
        if array.dtype != (np.float64 if name in _WIDE else np.float32):
            raise ValueError(f"{name} is of the type {array.dtype}")
    space = _part(Space, arrays) if "centre" in arrays else None
    waves = _part(Waves, arrays) if "middle" in arrays else None
    return Triage(card, _part(Fitted, arrays), space, waves, arrays["distances"])


def _part(kind: type[Kind], arrays: dict[str, NDArray[Any]]) -> Kind:
    return kind(*(arrays[name] for name in kind.__struct_fields__))


def _card(data: bytes) -> Card:
    """Read the card from the safetensors header: 8 bytes of length, then JSON."""
    length = int.from_bytes(data[:8], "little")
    header: dict[str, Any] = msgspec.json.decode(data[8 : 8 + length], type=dict[str, Any])
    return msgspec.json.decode(header["__metadata__"][_CARD_KEY], type=Card)


def _read(path: Path, digest: str | None) -> bytes:
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size <= _MAX_FILE_BYTES else b""
    except OSError as error:
        raise WeightsError(
            f"Cannot read the triage at {str(path)!r}: {error.strerror}.",
            "Restore the file, or make it again with 'stepdown certify'.",
        ) from error
    if size > _MAX_FILE_BYTES:
        raise WeightsError(
            f"{str(path)!r} has {size} bytes; a triage has at most {_MAX_FILE_BYTES}.",
            "Correct the path, or make it again with 'stepdown certify'.",
        )
    if digest is not None and digest_bytes(data) != digest:
        raise WeightsError(
            f"The triage at {str(path)!r} has digest {digest_bytes(data)}, expected {digest}.",
            "It was made again or changed: certify again, or restore the file.",
        )
    return data
