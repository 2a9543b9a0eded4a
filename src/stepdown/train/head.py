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
from stepdown.train.lexicon import Lexicon
from stepdown.train.logistic import Linear
from stepdown.train.pinned_file import CARD_KEY, card_in, read_pinned
from stepdown.train.softmax import softmax

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_MAX_FILE_BYTES = 256 * 2**20


class HeadCard(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything about a head but its numbers.

    `out_of_fold_accuracy` and `out_of_fold_log_loss` (nats, after temperature) come from
    cross-validation on the training rows; they chose `penalty` and `lexical_scale`, so they flatter
    those a little. `lexical_dim` is 0 where the head reads the embedding alone.
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
    lexical_dim: int = 0
    lexical_scale: float = 0.0
    format: Literal["stepdown-head/1"] = "stepdown-head/1"

    def __post_init__(self) -> None:
        """Refuse a card that cannot describe a head."""
        if len(self.labels) < 2 or len(set(self.labels)) != len(self.labels):
            raise ValueError(f"a head needs two or more different labels, got {self.labels}")
        if len(self.n_by_label) != len(self.labels):
            raise ValueError("n_by_label must have one count for each label")
        if not self.temperature > 0:
            raise ValueError(f"temperature must be above 0, got {self.temperature}")
        if self.lexical_dim < 0 or (self.lexical_dim > 0) != (self.lexical_scale > 0):
            raise ValueError("lexical_dim and lexical_scale must be above 0 both, or both 0")
        for part in (self.task, self.name):
            if not _NAME.fullmatch(part):
                raise ValueError(f"task and name must be plain file-name parts, got {part!r}")


class Head(Struct, frozen=True, eq=False, dict=True):
    """A linear classifier over embeddings of one encoder, with its temperature and familiarity.

    With a lexicon it reads [embedding, scale * lexical vector]; familiarity, the embedding alone.
    """

    card: HeadCard
    linear: Linear
    familiarity: Familiarity
    lexicon: Lexicon | None = None

    def __post_init__(self) -> None:
        """Refuse arrays whose shapes do not fit the card, and freeze them."""
        labels, dim, lexical = len(self.card.labels), self.card.dim, self.card.lexical_dim
        if lexical != (self.lexicon.dim if self.lexicon else 0):
            raise ValueError(f"the card tells of a lexicon of {lexical} numbers, the head differs")
        wanted: dict[str, tuple[int, ...]] = {
            "weights": (dim + lexical, labels),
            "bias": (labels,),
            "centroids": (len(self.familiarity.centroids), dim),
        }
        for name, array in _tensors(self).items():
            if name.startswith("lexicon_"):
                wanted[name] = array.shape  # the lexicon has checked itself
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

    def logits(
        self, embeddings: "NDArray[float32]", lexical: "NDArray[float32] | None" = None
    ) -> "NDArray[float32]":
        """Return scores before temperature and softmax, shape (rows, labels).

        `embeddings` come from the encoder that the card names, shape (rows, dim); `lexical` from
        the head's lexicon, shape (rows, lexical_dim).

        Raises:
            ValueError: the head has a lexicon and `lexical` is missing, or the reverse.
        """
        if (lexical is None) != (self.lexicon is None):
            has = "a lexicon: give" if self.lexicon else "no lexicon: do not give"
            raise ValueError(f"the head {self.card.name!r} has {has} lexical vectors")
        return self.linear.logits(join_features(embeddings, lexical, self.card.lexical_scale))

    def predict_proba(
        self, embeddings: "NDArray[float32]", lexical: "NDArray[float32] | None" = None
    ) -> "NDArray[float32]":
        """Return calibrated probabilities, shape (rows, labels), rows summing to 1.

        Takes what `logits` takes.
        """
        scores = self.logits(embeddings, lexical)
        probabilities: NDArray[float32] = softmax(scores, self.card.temperature)
        return probabilities


def join_features(
    embeddings: "NDArray[float32]", lexical: "NDArray[float32] | None", scale: float
) -> "NDArray[float32]":
    """Return what a head reads: embeddings and, beside them, the scaled lexical vectors."""
    if lexical is None or scale == 0:
        return embeddings
    return np.hstack([embeddings, np.float32(scale) * lexical])


def dump_head(head: Head) -> bytes:
    """Return the bytes of the head's file; equal heads give equal bytes."""
    from safetensors.numpy import save

    card = msgspec.to_builtins(head.card)
    if not head.card.lexical_dim:
        # Heads of before the lexicon keep their bytes, so their digests in a lock stay true.
        card = {key: value for key, value in card.items() if not key.startswith("lexical_")}
    text = msgspec.json.encode(card, order="sorted").decode()
    return save(_tensors(head), {CARD_KEY: text})


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

    data = read_pinned(path, digest, what="head", most_bytes=_MAX_FILE_BYTES)
    try:
        card, arrays = card_in(data, HeadCard), load(data)
        linear = Linear(arrays["weights"], arrays["bias"])
        familiar = Familiarity(arrays["centroids"], arrays["distances"], arrays.get("confidences"))
        return Head(card, linear, familiar, _lexicon(arrays) if card.lexical_dim else None)
    except (SafetensorError, KeyError, ValueError) as error:
        raise WeightsError(
            f"{str(path)!r} is not a head that this version can read: {error}.",
            "Train it again with 'stepdown train'.",
        ) from error


def _tensors(head: Head) -> "dict[str, NDArray[Any]]":
    tensors: dict[str, NDArray[Any]] = {
        "weights": head.linear.weights,
        "bias": head.linear.bias,
        "centroids": head.familiarity.centroids,
        "distances": head.familiarity.distances,
    }
    if head.familiarity.confidences is not None:
        tensors["confidences"] = head.familiarity.confidences
    if head.lexicon is not None:
        words = bytearray("\n".join(head.lexicon.grams).encode())
        tensors["lexicon_words"] = np.frombuffer(words, dtype=np.uint8)
        tensors["lexicon_idf"] = head.lexicon.idf
        tensors["lexicon_projection"] = head.lexicon.projection
    return tensors


def _lexicon(arrays: "dict[str, NDArray[Any]]") -> Lexicon:
    """Read the lexicon; n-grams are parted by line feeds, which none of them can hold."""
    words, idf, projection = (arrays[f"lexicon_{n}"] for n in ("words", "idf", "projection"))
    if [array.dtype.name for array in (words, idf, projection)] != ["uint8", "float32", "float16"]:
        raise ValueError("the lexicon's arrays are not of the types uint8, float32 and float16")
    return Lexicon(tuple(words.tobytes().decode().split("\n")), idf, projection)
