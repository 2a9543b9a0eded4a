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
from stepdown.train.pinned_file import CARD_KEY, card_in, read_pinned

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MAX_FILE_BYTES = 256 * 2**20


def dump_extractor(extractor: Extractor) -> bytes:
    """Return the bytes of the file; equal extractors give equal bytes."""
    from safetensors.numpy import save

    text = msgspec.json.encode(extractor.card, order="sorted").decode()
    return save(_tensors(extractor), {CARD_KEY: text})


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

    data = read_pinned(path, digest, what="extractor", most_bytes=_MAX_FILE_BYTES)
    try:
        arrays = load(data)
        parts = (arrays[name] for name in ("features", "hashed", "dense", "sizes"))
        return Extractor(card_in(data, ExtractorCard), *parts)
    except (SafetensorError, KeyError, ValueError) as error:
        raise WeightsError(
            f"{str(path)!r} is not an extractor that this version can read: {error}.",
            "Train it again with 'stepdown train'.",
        ) from error


def _tensors(extractor: Extractor) -> "dict[str, NDArray[Any]]":
    return {name: getattr(extractor, name) for name in ("features", "hashed", "dense", "sizes")}
