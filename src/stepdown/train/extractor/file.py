"""An extractor's file: safetensors with one JSON card, no pickle, bounded sizes.

Equal training gives equal bytes, as long as no date is passed.
"""

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from stepdown.core.digest import digest_bytes
from stepdown.errors import WeightsError
from stepdown.train.extractor.model import Extractor, ExtractorCard

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CARD_KEY = "stepdown"
_MAX_FILE_BYTES = 256 * 2**20


def dump_extractor(extractor: Extractor) -> bytes:
    """Return the bytes of the file; equal extractors give equal bytes."""
    from safetensors.numpy import save

    text = msgspec.json.encode(extractor.card, order="sorted").decode()
    return save(_tensors(extractor), {_CARD_KEY: text})


def save_extractor(extractor: Extractor, folder: Path) -> Path:
    """Write `folder/<task>-<name>-<digest12>.safetensors`, atomically, and return its path."""
    data = dump_extractor(extractor)
    mark = digest_bytes(data).removeprefix("sha256:")[:12]
    card = extractor.card
    target = folder / f"{card.task}-{card.name}-{mark}.safetensors"
    folder.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(prefix=".extractor-", dir=folder)
    with os.fdopen(handle, "wb") as stream:
        stream.write(data)
    Path(part).replace(target)
    return target


def load_extractor(path: Path, digest: str | None = None) -> Extractor:
    """Read an extractor's file and, when `digest` is given, insist on it.

    Raises:
        WeightsError: no such file, not an extractor, or another digest.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    data = _read(path, digest)
    try:
        arrays = load(data)
        parts = (arrays[name] for name in ("features", "hashed", "dense", "sizes"))
        return Extractor(_card(data), *parts)
    except (SafetensorError, KeyError, ValueError) as error:
        raise WeightsError(
            f"{str(path)!r} is not an extractor that this version can read: {error}.",
            "Train it again with 'stepdown train'.",
        ) from error


def _tensors(extractor: Extractor) -> "dict[str, NDArray[Any]]":
    return {name: getattr(extractor, name) for name in ("features", "hashed", "dense", "sizes")}


def _read(path: Path, digest: str | None) -> bytes:
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size <= _MAX_FILE_BYTES else b""
    except OSError as error:
        raise WeightsError(
            f"Cannot read the extractor at {str(path)!r}: {error.strerror}.",
            "Train it with 'stepdown train', or correct the path in stepdown.toml.",
        ) from error
    if size > _MAX_FILE_BYTES:
        raise WeightsError(
            f"{str(path)!r} has {size} bytes; an extractor has at most {_MAX_FILE_BYTES}.",
            "Correct the path in stepdown.toml, or train it again with 'stepdown train'.",
        )
    if digest is not None and digest_bytes(data) != digest:
        raise WeightsError(
            f"The extractor at {str(path)!r} has digest {digest_bytes(data)}, expected {digest}.",
            "It was trained again or changed: certify again, or restore the file.",
        )
    return data


def _card(data: bytes) -> ExtractorCard:
    """Read the card from the safetensors header: 8 bytes of length, then JSON."""
    length = int.from_bytes(data[:8], "little")
    header: dict[str, Any] = msgspec.json.decode(data[8 : 8 + length])
    return msgspec.json.decode(header["__metadata__"][_CARD_KEY], type=ExtractorCard)
