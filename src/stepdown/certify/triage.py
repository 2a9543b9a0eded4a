"""Fit a triage: the score that each tier would get, predicted before any model runs.

The task prior comes first: the accuracy per segment (dataset, subject, kind: known before the call)
and tier, shrunk. Text is a residual that must prove itself out of fold. It knows no costs.
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import ArrayLike, NDArray

from stepdown.certify.triage_fit import Chosen, Plan, Rows, assign_folds, choose, gain
from stepdown.certify.triage_model import (
    Card,
    Compact,
    Coordinates,
    Floats,
    Gain,
    Ints,
    Space,
    Triage,
    View,
    checked_shapes,
    cluster_of,
    places_of,
)
from stepdown.certify.triage_shape import fit_waves, shapes_of
from stepdown.certify.triage_space import Recipe, fit_distances, fit_space
from stepdown.errors import DataError
from stepdown.stats.arrays import bounded, group_codes

__all__ = ["Gain", "Recipe", "Triage", "crossfit", "fit_triage", "shapes_of"]


class _Inputs(Struct, frozen=True, eq=False):
    """What was handed in, checked: scores (n, T), names of segments, vectors (n, d), groups."""

    scores: Floats
    segments: Sequence[str | None]
    names: tuple[str, ...]
    vectors: Compact | None
    shapes: Floats | None
    groups: Ints

    @property
    def places(self) -> dict[str, int]:
        """The number of each segment."""
        return {name: at for at, name in enumerate(self.names)}

    @property
    def clustered(self) -> bool:
        """Whether clusters must stand in for segments."""
        return len(self.names) < 2 and self.vectors is not None


def fit_triage(
    scores: ArrayLike,
    segments: Sequence[str | None],
    vectors: ArrayLike | None,
    seed: int,
    tiers: Sequence[str],
    *,
    shapes: ArrayLike | None = None,
    groups: Sequence[Hashable] | None = None,
    encoder: str | None = None,
    recipe: Recipe | None = None,
) -> Triage:
    """Return the triage of `crossfit`, which says what the arguments are, without its rows."""
    more: dict[str, Any] = {"shapes": shapes, "groups": groups, "encoder": encoder}
    return crossfit(scores, segments, vectors, seed, tiers, recipe=recipe, **more)[0]


def crossfit(
    scores: ArrayLike,
    segments: Sequence[str | None],
    vectors: ArrayLike | None,
    seed: int,
    tiers: Sequence[str],
    *,
    shapes: ArrayLike | None = None,
    groups: Sequence[Hashable] | None = None,
    encoder: str | None = None,
    recipe: Recipe | None = None,
) -> tuple[Triage, Floats]:
    """Fit a triage, and predict each row by one that saw no score of its group.

    `scores` are 0..1, shape (n, tiers), NaN where unknown; `segments` (n,), None where unknown;
    `vectors` (n, d) of one encoder, whose digest is `encoder`; `shapes` (n, 9) are
    what `shapes_of` says of the texts. `groups` keep near-duplicates
    together. Rows without any score may stand among them: they shape the axes and clusters only.
    Where fewer than two segments are known, clusters of the vectors stand in if they prove
    themselves. The out-of-fold values, shape (n, tiers), include the choice of what is used.

    Assumes rows of different groups to be exchangeable. Source: shrinkage by marginal likelihood,
    Morris (1983), "Parametric empirical Bayes inference"; MacKay (1992), "Bayesian interpolation";
    cross-fitting, Chernozhukov et al. (2018), "Double/debiased machine learning".

    Raises:
        DataError: shapes that do not fit, a score outside 0..1, too few rows or groups, or a tier
            without any score.
    """
    from threadpoolctl import threadpool_limits

    recipe = recipe or Recipe()
    given = _checked(scores, segments, vectors, shapes, tiers, groups, recipe)
    with threadpool_limits(recipe.threads, user_api="blas"):
        return _crossfit(given, seed, tuple(map(str, tiers)), encoder, recipe)


def _crossfit(
    given: _Inputs, seed: int, tiers: tuple[str, ...], encoder: str | None, recipe: Recipe
) -> tuple[Triage, Floats]:
    space = None if given.vectors is None else fit_space(given.vectors, seed, recipe)
    waves = None if given.shapes is None else fit_waves(given.shapes, seed, recipe.waves)
    outside = waves.project(given.shapes) if waves and given.shapes is not None else None
    rows, plans = _rows(given, space, outside, recipe), _plans(given)
    folds = assign_folds(given.groups, recipe.folds, seed)
    said, means = _cross(rows, plans, folds, recipe, seed)
    chosen = choose(rows, plans, recipe.folds, seed)
    card = _card(given, chosen, folds, seed, tiers, encoder, gain(rows, means, said))
    if given.vectors is None or space is None:
        return Triage(card, chosen.fitted, None, waves), said
    far = fit_distances(given.vectors, folds, seed, recipe)
    return Triage(card, chosen.fitted, space, waves, far), said


def _cross(
    rows: Rows, plans: tuple[Plan, ...], folds: Ints, recipe: Recipe, seed: int
) -> tuple[Floats, Floats]:
    """Return predictions and tier means from the other folds, shape (n, T) each."""
    said, means = np.empty_like(rows.scores), np.empty_like(rows.scores)
    for fold in range(int(folds.max()) + 1):
        here = folds == fold
        fitted = choose(rows.take(~here), plans, recipe.folds, seed).fitted
        said[here], means[here] = fitted.predict(rows.lie.take(here)), fitted.mean
    return said, means


def _plans(given: _Inputs) -> tuple[Plan, ...]:
    """Return what may be used; the first stays unless another proves itself."""
    prior, shape = len(given.names) >= 2, given.shapes is not None
    views: list[tuple[bool, View]] = [(prior, "none")]
    if given.vectors is not None:
        views += [(prior, "linear"), (True, "by_segment")]
        views += [] if prior else [(True, "none"), (True, "linear")]
    outside = (False, True) if shape else (False,)
    return tuple(Plan(pooled, view, on) for on in outside for pooled, view in views)


def _rows(given: _Inputs, space: Space | None, outside: Floats | None, recipe: Recipe) -> Rows:
    n = len(given.scores)
    z, has_text = np.zeros((n, 0)), np.zeros(n, dtype=np.bool_)
    at, parts = places_of(given.segments, given.places), len(given.names)
    if space is not None and given.vectors is not None:
        z, has_text = space.project(given.vectors), np.asarray(given.vectors.any(axis=1))
        if given.clustered:
            at, parts = cluster_of(space, given.vectors, n), len(space.clusters)
    lie = Coordinates(at, z, has_text, np.zeros((n, 0)) if outside is None else outside)
    return Rows(given.scores, lie, given.groups, parts, recipe.slopes)


def _card(
    given: _Inputs,
    chosen: Chosen,
    folds: Ints,
    seed: int,
    tiers: tuple[str, ...],
    encoder: str | None,
    over_means: Gain,
) -> Card:
    known, plan = ~np.isnan(given.scores), chosen.plan
    return Card(
        tiers=tiers,
        segments=given.names,
        prior=plan.prior,
        clustered=given.clustered and plan.prior,
        view=plan.view,
        shape=plan.shape,
        n=int(known.any(axis=1).sum()),
        n_by_tier=tuple(known.sum(axis=0).tolist()),
        folds=int(folds.max()) + 1,
        seed=seed,
        gain=over_means,
        text_gain=chosen.text_gain,
        encoder=encoder,
    )


def _checked(
    scores: ArrayLike,
    segments: Sequence[str | None],
    vectors: ArrayLike | None,
    shapes: ArrayLike | None,
    tiers: Sequence[str],
    groups: Sequence[Hashable] | None,
    recipe: Recipe,
) -> _Inputs:
    table = np.asarray(scores, dtype=np.float64)
    n = len(segments)
    if table.shape != (n, len(tiers)) or len(set(tiers)) != len(tiers) or not tiers:
        raise DataError(
            f"scores of shape {table.shape} do not fit {n} segments and tiers {list(tiers)}.",
            "Give one row a query and one column a tier, each tier once.",
        )
    known = ~np.isnan(table)
    bounded("scores", table[known], 0.0, 1.0)
    _enough(known, tiers, recipe)
    codes = group_codes(_keys(groups, n), n)
    outside = None if shapes is None else checked_shapes(shapes, n)
    names, found = _names(segments, recipe), _vectors(vectors, n)
    return _Inputs(table, segments, names, found, outside, codes)


def _enough(known: NDArray[np.bool_], tiers: Sequence[str], recipe: Recipe) -> None:
    rows = int(known.any(axis=1).sum())
    if rows < recipe.fewest_rows:
        raise DataError(
            f"{rows} rows have a score; a triage needs {recipe.fewest_rows}.",
            "Score more rows, or do without triage.",
        )
    silent = [name for name, column in zip(tiers, known.T, strict=True) if not column.any()]
    if silent:
        raise DataError(
            f"The tiers {silent} have no score at all, so none can be expected of them.",
            "Score them on some rows, or leave them out.",
        )


def _keys(groups: Sequence[Hashable] | None, n: int) -> Ints:
    """Return a number for each group; without groups each row is its own."""
    if groups is None:
        return np.arange(n, dtype=np.intp)
    first: dict[Hashable, int] = {}
    return np.array([first.setdefault(group, len(first)) for group in groups], dtype=np.intp)


def _names(segments: Sequence[str | None], recipe: Recipe) -> tuple[str, ...]:
    """Return the segments by alphabet; of too many the most frequent."""
    counts = Counter(str(name) for name in segments if name is not None)
    kept = sorted(counts, key=lambda name: (-counts[name], name))[: recipe.segments]
    return tuple(sorted(kept))


def _vectors(vectors: ArrayLike | None, n: int) -> Compact | None:
    if vectors is None:
        return None
    table = np.asarray(vectors, dtype=np.float32)
    if table.ndim != 2 or len(table) != n or not np.isfinite(table).all():
        raise DataError(
            f"vectors of shape {table.shape}, or not finite, do not fit {n} rows.",
            "Give one vector of finite numbers a row, or None.",
        )
    return table if table.any() else None
