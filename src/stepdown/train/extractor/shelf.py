"""Fields that were fitted already, kept in a job's folder until the extractor is whole.

What cannot be read is fitted again.
"""

from pathlib import Path

import msgspec

from stepdown.train.extractor.field import Fitted
from stepdown.train.extractor.model import FieldCard
from stepdown.train.extractor.spans import Weights

_CARD_KEY = "field"


class Shelf:
    """Keep fitted fields by the digest of everything that decides them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, key: str, fitted: Fitted) -> None:
        """Keep a field; one that learned nothing is found again at once, and is not kept."""
        from safetensors.numpy import save

        if fitted.weights is None:
            return
        names = Weights.__struct_fields__
        tensors = {name: getattr(fitted.weights, name) for name in names}
        card = msgspec.json.encode(fitted.card).decode()
        self.folder.mkdir(parents=True, exist_ok=True)
        part = self._path(key).with_suffix(".part")
        part.write_bytes(save(tensors, {_CARD_KEY: card}))
        part.replace(self._path(key))

    def take(self, key: str) -> Fitted | None:
        """Return a kept field, None where there is none that can be read."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self._path(key), framework="numpy") as kept:
                card = msgspec.json.decode((kept.metadata() or {})[_CARD_KEY], type=FieldCard)
                parts = [kept.get_tensor(name) for name in Weights.__struct_fields__]
        except (OSError, SafetensorError, KeyError, msgspec.MsgspecError):
            return None
        return Fitted(card, Weights(*parts))

    def _path(self, key: str) -> Path:
        return self.folder / f"field-{key.removeprefix('sha256:')[:24]}.safetensors"
