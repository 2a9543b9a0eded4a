"""The frozen value of a trained extractor, and what it says of one text's tokens.

How it is written to a file stands in `file`; how it is trained, in `fit`.
"""

import math
import re
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from msgspec import Struct

from stepdown.train.extractor import dense, hashing
from stepdown.train.extractor.candidates import SIZES, Reach
from stepdown.train.extractor.spans import ROLES
from stepdown.train.extractor.writing import Writing

if TYPE_CHECKING:
    from numpy import float32, uint32
    from numpy.typing import NDArray

MAX_FIELDS, MAX_FEATURES, MAX_DIM = 200, 65_536, 4096
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
LEAST_ODDS = 1e-6
"""A probability of 0 or 1 is moved this far inside before its log-odds are taken."""


class FieldCard(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One field: how its spans are found and written, how sure it is, and what was measured.

    Counts are of training rows: `present` have a value, `found` of them have it as a span of the
    text. `accuracy` (as the task scores the field), `auroc` and `ece` come from cross-validation on
    the training rows and chose `penalty`, `slope` and `offset`, so they flatter a little. Without
    `reach` there were too few spans to learn from: the answer is null, and its confidence the share
    of rows where null is right.
    """

    name: str
    n: int
    present: int
    found: int
    reach: Reach | None = None
    writing: Writing = Writing()
    penalty: float = 0.0
    slope: float = 1.0
    offset: float = 0.0
    accuracy: float | None = None
    auroc: float | None = None
    ece: float | None = None

    @property
    def unlearned(self) -> float:
        """The confidence of null where nothing was learned (Laplace's rule of succession)."""
        return (self.n - self.present + 1) / (self.n + 2)

    @property
    def uncopied(self) -> float:
        """The confidence of null for a text without a word: values may come from elsewhere."""
        return (self.n - (self.present - self.found) + 1) / (self.n + 2)

    def sure(self, probability: float) -> float:
        """Return the calibrated confidence of an answer of some probability (Platt's map)."""
        inside = min(max(probability, LEAST_ODDS), 1 - LEAST_ODDS)
        score = self.slope * math.log(inside / (1 - inside)) + self.offset
        return 1 / (1 + math.exp(-score)) if score > -700 else 0.0


class ExtractorCard(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything about an extractor but its numbers."""

    task: str
    name: str
    fields: tuple[FieldCard, ...]
    encoder_name: str
    encoder_digest: str
    dim: int
    data_digest: str
    seed: int
    folds: int
    created: str | None = None
    hashing: str = hashing.RECIPE
    dense: str = dense.RECIPE
    format: Literal["stepdown-extractor/1"] = "stepdown-extractor/1"

    def __post_init__(self) -> None:
        """Refuse a card that cannot describe an extractor that this version runs."""
        names = [field.name for field in self.fields]
        if not 0 < len(names) <= MAX_FIELDS or len(set(names)) != len(names):
            raise ValueError(f"an extractor has 1 to {MAX_FIELDS} different fields, not {names}")
        if (self.hashing, self.dense) != (hashing.RECIPE, dense.RECIPE):
            raise ValueError(f"it reads tokens as {self.hashing!r} and {self.dense!r}")
        for part in (self.task, self.name):
            if not _NAME.fullmatch(part):
                raise ValueError(f"task and name must be plain file-name parts, got {part!r}")

    @property
    def learned(self) -> tuple[FieldCard, ...]:
        """The fields with weights, in the order of the columns."""
        return tuple(field for field in self.fields if field.reach is not None)


class Extractor(Struct, frozen=True, eq=False, dict=True):
    """Linear span models of some fields over the same tokens.

    `features` are the known hashes, ascending, (features,). `hashed` (features, 3 * learned fields)
    and `dense` (dim, 3 * learned fields) are weights; `sizes` is (learned fields, SIZES).
    """

    card: ExtractorCard
    features: "NDArray[uint32]"
    hashed: "NDArray[float32]"
    dense: "NDArray[float32]"
    sizes: "NDArray[float32]"

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit the card, and freeze them."""
        columns, known = len(self.card.learned), len(self.features)
        shapes = {
            "features": (known,),
            "hashed": (known, columns * ROLES),
            "dense": (self.card.dim, columns * ROLES),
            "sizes": (columns, SIZES),
        }
        if known > MAX_FEATURES or self.card.dim > MAX_DIM:
            raise ValueError(f"at most {MAX_FEATURES} features and {MAX_DIM} numbers a token")
        for name, shape in shapes.items():
            self._check(name, shape)
        if self.features.dtype != np.uint32 or (np.diff(self.features.astype(np.int64)) <= 0).any():
            raise ValueError("features must be different 32-bit numbers in ascending order")

    def _check(self, name: str, shape: tuple[int, ...]) -> None:
        array: NDArray[Any] = getattr(self, name)
        wanted = np.uint32 if name == "features" else np.float32
        if array.shape != shape or array.dtype != wanted or not np.isfinite(array).all():
            raise ValueError(f"{name} of shape {array.shape} does not fit the card")
        array.flags.writeable = False

    def parts(self, seen: "NDArray[uint32]", vectors: "NDArray[float32]") -> "NDArray[float32]":
        """Return what each token says, shape (tokens, learned fields, 3)."""
        out = vectors @ self.dense
        out += sparse(seen, self.features) @ self.hashed
        return out.reshape(len(vectors), -1, ROLES)


def lookup(seen: "NDArray[uint32]", known: "NDArray[uint32]") -> "NDArray[Any]":
    """Return where hashes stand among the known ones, `len(known)` for those that do not."""
    if not len(known):
        return np.zeros(seen.shape, dtype=np.intp)
    at = np.minimum(np.searchsorted(known, seen), len(known) - 1)
    return np.where(known[at] == seen, at, len(known))


def sparse(seen: "NDArray[uint32]", known: "NDArray[uint32]") -> Any:
    """Return ones where known features stand, as a sparse matrix (tokens, known features)."""
    from scipy.sparse import csr_matrix

    places = lookup(seen, known)
    there = places < len(known)
    ends = np.concatenate([[0], np.cumsum(there.sum(axis=1))])
    ones = np.ones(int(ends[-1]), dtype=np.float32)
    return csr_matrix((ones, places[there], ends), shape=(len(seen), len(known)))
