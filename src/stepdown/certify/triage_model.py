"""The frozen value of a triage: arrays that turn a segment and a vector into expected scores.

It knows nothing of texts, encoders, costs or models; `triage` fits it, `triage_file` keeps it.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
from msgspec import Struct
from numpy.typing import ArrayLike, NDArray

from stepdown.certify.triage_shape import SHAPES, Waves
from stepdown.errors import DataError

Floats = NDArray[np.float64]
Compact = NDArray[np.float32]
Ints = NDArray[np.intp]
View = Literal["none", "linear", "by_segment"]


class Gain(Struct, frozen=True):
    """What one way of predicting takes off another's mean squared error of tier differences.

    `error` is the standard error over groups; both come from rows that neither had seen.
    """

    mean: float = 0.0
    error: float = 0.0

    @property
    def proven(self) -> bool:
        """Whether the gain is above its error, and above rounding."""
        return self.mean > max(self.error, 1e-9)


class Card(Struct, frozen=True, forbid_unknown_fields=True):
    """Everything about a triage but its numbers. `n` counts rows with a score, by row and tier.

    `segments` are those known before the call; `clustered` says that clusters of vectors stand in.
    `view` says how vectors are read, `shape` whether the outside of the text is. `gain` compares
    triage with the mean of each tier, `text_gain` text with no text; `text_gain` chose the text's
    part and flatters it a little, `gain` is measured outside that choice.
    """

    tiers: tuple[str, ...]
    segments: tuple[str, ...]
    prior: bool
    clustered: bool
    view: View
    shape: bool
    n: int
    n_by_tier: tuple[int, ...]
    folds: int
    seed: int
    gain: Gain
    text_gain: Gain
    encoder: str | None = None
    format: Literal["stepdown-triage/1"] = "stepdown-triage/1"


class Coordinates(Struct, frozen=True, eq=False):
    """Where rows lie: segment (n,), -1 none; axes (n, axes); waves of the shape (n, 2m).

    `has_text` (n,) says where the axes mean something. No column is: not known.
    """

    at: Ints
    z: Floats
    has_text: NDArray[np.bool_]
    waves: Floats

    def take(self, kept: NDArray[np.bool_]) -> "Coordinates":
        """Return some of the rows."""
        return Coordinates(self.at[kept], self.z[kept], self.has_text[kept], self.waves[kept])


class Fitted(Struct, frozen=True, eq=False):
    """Means (T,), effects (segments, T), weights (1 or segments, axes, T), bends (2m, T)."""

    mean: Floats
    effects: Floats
    weights: Floats
    bends: Floats

    def predict(self, rows: Coordinates) -> Floats:
        """Return expected scores 0..1, shape (n, T); what is not known adds nothing."""
        out = np.tile(self.mean, (len(rows.at), 1))
        if len(self.effects):
            out += np.where((rows.at >= 0)[:, None], self.effects[rows.at], 0.0)
        if len(self.weights) and rows.z.shape[1]:
            out += self._text(rows)
        if len(self.bends) and rows.waves.shape[1]:
            out += rows.waves @ self.bends
        return np.clip(out, 0.0, 1.0)

    def _text(self, rows: Coordinates) -> Floats:
        width = self.weights.shape[1]
        if len(self.weights) == 1:
            added, on = rows.z[:, :width] @ self.weights[0], rows.has_text
        else:
            added = np.einsum("nd,ndt->nt", rows.z[:, :width], self.weights[rows.at])
            on = rows.has_text & (rows.at >= 0)
        found: Floats = np.where(on[:, None], added, 0.0)
        return found


class Space(Struct, frozen=True, eq=False):
    """Where vectors lie: centre (d,), scaled principal axes (d, axes), cluster centres (k, d)."""

    centre: Compact
    axes: Compact
    clusters: Compact

    def project(self, vectors: Compact) -> Floats:
        """Return coordinates on the axes, shape (n, axes)."""
        z: Floats = ((vectors - self.centre) @ self.axes).astype(np.float64)
        return z

    def nearest(self, vectors: Compact) -> tuple[Ints, Floats]:
        """Return the nearest cluster of each vector and the distance to it."""
        return nearest(vectors, self.clusters)


class Triage(Struct, frozen=True, eq=False, dict=True):
    """Expected score of every tier before any model runs, and how familiar an input is.

    `distances` are ascending quantiles of what the fitted rows measured against clusters of others.
    """

    card: Card
    fitted: Fitted
    space: Space | None = None
    waves: Waves | None = None
    distances: Compact = np.empty(0, dtype=np.float32)

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit the card, and freeze them.

        Raises:
            ValueError: a shape or a number is impossible; says which.
        """
        wanted = self._shapes()
        for name, array in self.tensors().items():
            if array.shape != wanted[name] or not np.isfinite(array).all():
                raise ValueError(f"{name} of shape {array.shape} does not fit the card")
            array.flags.writeable = False

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape that each array must have."""
        tiers, dim = len(self.card.tiers), self.space.centre.size if self.space else 0
        axes = self.space.axes.shape[-1] if self.space else 0
        many = self.waves.turns.shape[-1] if self.waves else 0
        clusters = len(self.space.clusters) if self.space else 0
        parts = clusters if self.card.clustered else len(self.card.segments)
        width = self.fitted.weights.shape[1] if self.fitted.weights.ndim == 3 else -1
        slopes = {"none": 0, "linear": 1, "by_segment": parts}[self.card.view]
        return {
            "mean": (tiers,),
            "effects": (parts if self.card.prior else 0, tiers),
            "weights": (slopes, min(width, axes), tiers),
            "bends": (2 * many if self.card.shape else 0, tiers),
            "centre": (dim,),
            "axes": (dim, axes),
            "clusters": (clusters, dim),
            "middle": (SHAPES,),
            "spread": (SHAPES,),
            "turns": (SHAPES, many),
            "offset": (2 * many,),
            "distances": self.distances.shape[:1],
        }

    def tensors(self) -> "dict[str, NDArray[Any]]":
        """Return the arrays by name."""
        parts = (self.fitted, self.space, self.waves)
        found = {n: getattr(p, n) for p in parts if p is not None for n in p.__struct_fields__}
        return found | {"distances": self.distances}

    @property
    def tiers(self) -> tuple[str, ...]:
        """The tiers, in the order of the columns."""
        return self.card.tiers

    @property
    def uses(self) -> Literal["constant", "prior", "text", "prior+text"]:
        """What the prediction rests on."""
        text = self.card.shape or self.card.view != "none"
        if self.card.prior:
            return "prior+text" if text else "prior"
        return "text" if text else "constant"

    @property
    def worth(self) -> bool:
        """Whether it beats the mean of each tier on rows that it had not seen."""
        return self.card.gain.proven

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: at for at, name in enumerate(self.card.segments)}

    def predict(
        self,
        segments: Sequence[str | None],
        vectors: Compact | Floats | None,
        shapes: Floats | None = None,
    ) -> Floats:
        """Return the expected score of every tier, 0..1, shape (n, tiers).

        An unseen segment gets the mean of all. What is not handed in is left out, as is a vector
        of zeros (a text without known words).

        Raises:
            DataError: vectors or shapes do not fit the segments or what was fitted.
        """
        return self.fitted.predict(self._coordinates(segments, vectors, shapes))

    def familiar(self, vectors: Compact | Floats) -> Floats:
        """Return the share of fitted rows that lie at least as far out, 0..1, shape (n,).

        1 is at the heart of a cluster; a vector of zeros is 0. It measures distance, not truth.

        Raises:
            DataError: the triage was fitted without vectors, or they are of another length.
        """
        table = self._vectors(vectors, len(vectors))
        if self.space is None or table is None:
            raise DataError(
                "This triage was fitted without vectors, so it cannot tell familiar inputs.",
                "Fit it with the vectors of an encoder.",
            )
        _, far = self.space.nearest(table)
        below = np.searchsorted(self.distances, far.astype(np.float32), side="left")
        return np.where(table.any(axis=1), 1.0 - below / max(1, self.distances.size), 0.0)

    def _coordinates(
        self,
        segments: Sequence[str | None],
        vectors: Compact | Floats | None,
        shapes: Floats | None,
    ) -> Coordinates:
        n, table = len(segments), self._vectors(vectors, len(segments))
        z, has_text = np.zeros((n, 0)), np.zeros(n, dtype=np.bool_)
        if table is not None and self.space is not None and self.card.view != "none":
            z, has_text = self.space.project(table), np.asarray(table.any(axis=1))
        waves = np.zeros((n, 0))
        if shapes is not None and self.waves is not None and self.card.shape:
            waves = self.waves.project(checked_shapes(shapes, n))
        return Coordinates(self._at(segments, table), z, has_text, waves)

    def _at(self, segments: Sequence[str | None], table: Compact | None) -> Ints:
        if self.card.clustered:
            return cluster_of(self.space, table, len(segments))
        return places_of(segments, self._places)

    def _vectors(self, vectors: Compact | Floats | None, n: int) -> Compact | None:
        if vectors is None or self.space is None:
            return None
        table = np.asarray(vectors, dtype=np.float32)
        wanted = (n, len(self.space.centre))
        if table.shape != wanted or not np.isfinite(table).all():
            raise DataError(
                f"vectors of shape {table.shape}, or not finite, where {wanted} is needed.",
                "Give one vector a row, from the encoder that the triage was fitted with.",
            )
        return table


def cluster_of(space: Space | None, table: Compact | None, n: int) -> Ints:
    """Return the cluster of each row; -1 without a vector, or for one of zeros."""
    if space is None or table is None:
        return np.full(n, -1, dtype=np.intp)
    return np.where(table.any(axis=1), space.nearest(table)[0], -1).astype(np.intp)


def places_of(segments: Sequence[str | None], places: Mapping[str, int]) -> Ints:
    """Return the number of each segment; -1 where it is unknown or unseen."""
    found = [-1 if name is None else places.get(name, -1) for name in segments]
    return np.array(found, dtype=np.intp)


def checked_shapes(shapes: ArrayLike, n: int) -> Floats:
    """Return shapes as floats, (n, 9).

    Raises:
        DataError: another shape, or a number that is not finite.
    """
    table = np.asarray(shapes, dtype=np.float64)
    if table.shape != (n, SHAPES) or not np.isfinite(table).all():
        raise DataError(
            f"shapes of shape {table.shape}, or not finite, where {(n, SHAPES)} is needed.",
            "Give what `shapes_of` returns for the texts, or None.",
        )
    return table


def nearest(vectors: Compact, clusters: Compact) -> tuple[Ints, Floats]:
    """Return the nearest cluster of each vector, and the Euclidean distance to it."""
    squares = (vectors**2).sum(axis=1)[:, None] + (clusters**2).sum(axis=1)[None, :]
    apart = squares.astype(np.float64) - 2 * (vectors @ clusters.T)
    at = apart.argmin(axis=1)
    found = apart[np.arange(len(at)), at]
    return at.astype(np.intp), np.sqrt(np.maximum(found, 0.0))
