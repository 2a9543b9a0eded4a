"""The frozen value of a trained head, and its file: safetensors with one JSON card, no pickle.

The file holds no time unless one is passed, so equal training gives equal bytes.
"""

import os
import re
import tempfile
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np
from msgspec import Struct

from stepdown.core.digest import digest_bytes
from stepdown.errors import WeightsError
from stepdown.train.familiarity import Familiarity
from stepdown.train.logistic import Linear
from stepdown.train.softmax import softmax

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

_CARD_KEY = "stepdown"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class HeadCard(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything about a head but its numbers.

    `out_of_fold_accuracy` and `out_of_fold_log_loss` (nats, after temperature) come from
    cross-validation on the training rows; they chose `penalty`, so they flatter it a little.
    """

    task: str
    name: str
    labels: tuple[str, ...]
    encoder_name: str
    encoder_digest: str
    dim: int
    penalty: float
    temperature: float
    data_digest: str
    n_by_label: tuple[int, ...]
    seed: int
    folds: int
    grouped: bool
    out_of_fold_accuracy: float
    out_of_fold_log_loss: float
    created: str | None = None
    format: Literal["stepdown-head/1"] = "stepdown-head/1"

    def __post_init__(self) -> None:
        """Refuse a card that cannot describe a head."""
        if len(self.labels) < 2 or len(set(self.labels)) != len(self.labels):
            raise ValueError(f"a head needs two or more different labels, got {self.labels}")
        if len(self.n_by_label) != len(self.labels):
            raise ValueError("n_by_label must have one count for each label")
        if not self.temperature > 0:
            raise ValueError(f"temperature must be above 0, got {self.temperature}")
        for part in (self.task, self.name):
            if not _NAME.fullmatch(part):
                raise ValueError(f"task and name must be plain file-name parts, got {part!r}")


class Head(Struct, frozen=True, eq=False, dict=True):
    """A linear classifier over embeddings of one encoder, with its temperature and familiarity."""

    card: HeadCard
    linear: Linear
    familiarity: Familiarity

    def __post_init__(self) -> None:
        """Refuse arrays whose shapes do not fit the card, and freeze them."""
        labels, dim = len(self.card.labels), self.card.dim
        wanted = {"weights": (dim, labels), "bias": (labels,), "centroids": (labels, dim)}
        for name, array in _tensors(self).items():
            if array.shape != wanted.get(name, array.shape[:1]) or not np.isfinite(array).all():
                raise ValueError(f"{name} of shape {array.shape} does not fit the card")
            array.flags.writeable = False

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in the order of the columns."""
        return self.card.labels

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the bytes of the head's file."""
        return digest_bytes(dump_head(self))

    def predict_proba(self, embeddings: "NDArray[float32]") -> "NDArray[float32]":
        """Return calibrated probabilities, shape (rows, labels), rows summing to 1.

        `embeddings` come from the encoder that the card names, shape (rows, dim).
        """
        probabilities: NDArray[float32] = softmax(
            self.linear.logits(embeddings), self.card.temperature
        )
        return probabilities


def dump_head(head: Head) -> bytes:
    """Return the bytes of the head's file; equal heads give equal bytes."""
    from safetensors.numpy import save

    card = msgspec.json.encode(head.card, order="sorted").decode()
    return save(_tensors(head), {_CARD_KEY: card})


def save_head(head: Head, models_dir: Path) -> Path:
    """Write `models_dir/<task>-<name>-<digest12>.safetensors`, atomically, and return its path."""
    data = dump_head(head)
    mark = digest_bytes(data).removeprefix("sha256:")[:12]
    target = models_dir / f"{head.card.task}-{head.card.name}-{mark}.safetensors"
    models_dir.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(prefix=".head-", dir=models_dir)
    with os.fdopen(handle, "wb") as stream:
        stream.write(data)
    Path(part).replace(target)
    return target


def load_head(path: Path, digest: str | None = None) -> Head:
    """Read a head's file and, when `digest` is given, insist on it.

    Raises:
        WeightsError: no such file, not a head, or another digest.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    data = _read(path, digest)
    try:
        card, arrays = _card(data), load(data)
        linear = Linear(arrays["weights"], arrays["bias"])
        familiar = Familiarity(arrays["centroids"], arrays["distances"])
        return Head(card, linear, familiar)
    except (SafetensorError, KeyError, ValueError) as error:
        raise WeightsError(
            f"{str(path)!r} is not a head that this version can read: {error}.",
            "Train it again with 'stepdown train'.",
        ) from error


def _tensors(head: Head) -> "dict[str, NDArray[float32]]":
    return {
        "weights": head.linear.weights,
        "bias": head.linear.bias,
        "centroids": head.familiarity.centroids,
        "distances": head.familiarity.distances,
    }


def _read(path: Path, digest: str | None) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(
            f"Cannot read the head at {str(path)!r}: {error.strerror}.",
            "Train it with 'stepdown train', or correct the path in stepdown.toml.",
        ) from error
    if digest is not None and digest_bytes(data) != digest:
        raise WeightsError(
            f"The head at {str(path)!r} has digest {digest_bytes(data)}, expected {digest}.",
            "It was trained again or changed: certify again, or restore the file.",
        )
    return data


def _card(data: bytes) -> HeadCard:
    """Read the card from the safetensors header: 8 bytes of length, then JSON."""
    length = int.from_bytes(data[:8], "little")
    header: dict[str, Any] = msgspec.json.decode(data[8 : 8 + length])
    return msgspec.json.decode(header["__metadata__"][_CARD_KEY], type=HeadCard)
