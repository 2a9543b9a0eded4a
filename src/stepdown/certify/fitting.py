"""Fit the formulas of derived signals: regularised, cross-fitted, with a value for every row that
no fit of that row saw.

It knows names, columns and targets, not what they mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from stepdown.core.derived import Linear

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
PENALTIES = (10.0, 30.0, 100.0, 300.0, 1000.0, 1e7)
FOLDS = 5
STEPS = 12  # Newton steps; a regularised logistic fit needs 5 to 8
CLOSE = 1e-4  # a Newton step this small ends the fit
ALIKE = 1e-9  # spread under which a column counts as constant


class Fitted(Struct, frozen=True):
    """A formula, its value for each row from fits without that row's fold, and its error.

    `error` is the mean out-of-fold loss: cross-entropy (logistic) or half the squared error.
    """

    formula: Linear
    held_out: Floats
    error: float


class Design(Struct, frozen=True):
    """Columns made comparable: unknown values filled by the mean, standardised; constants left out.

    `matrix` has shape (n, 1 + columns), its first column is 1.
    """

    names: tuple[str, ...]
    matrix: Floats
    mean: Floats
    spread: Floats

    def formula(self, weights: Floats, logistic: bool) -> Linear:
        """Return weights (bias first) as a formula over the columns as they were."""
        raw = weights[1:] / self.spread
        return Linear(
            inputs=self.names,
            weights=tuple(raw.tolist()),
            fill=tuple(self.mean.tolist()),
            bias=float(weights[0] - raw @ self.mean),
            link="logistic" if logistic else "identity",
        )


def design(columns: Mapping[str, Floats], n: int) -> Design:
    """Return the design of some columns of shape (n,)."""
    names, kept, means, spreads = [], [np.ones(n)], [], []
    for name, values in columns.items():
        known = values[~np.isnan(values)]
        spread = float(known.std()) if known.size else 0.0
        if spread <= ALIKE:
            continue
        mean = float(known.mean())
        names.append(name)
        means.append(mean)
        spreads.append(spread)
        kept.append((np.where(np.isnan(values), mean, values) - mean) / spread)
    return Design(tuple(names), np.column_stack(kept), np.array(means), np.array(spreads))


def folds_of(groups: Sequence[str | None], seed: int, folds: int = FOLDS) -> Ints:
    """Return the fold of each row; rows of one group share a fold."""
    named = [f"row {place}" if group is None else group for place, group in enumerate(groups)]
    _, codes = np.unique(named, return_inverse=True)
    order = np.random.default_rng([seed, 3]).permutation(int(codes.max()) + 1 if codes.size else 0)
    return np.asarray((order % folds)[codes], dtype=np.int64)


class Ridge:
    """Least squares with one penalty, solved once for many targets.

    The fold matrices are inverted when made; a target then costs two products.
    """

    def __init__(self, made: Design, fold: Ints, penalty: float) -> None:
        self.made, self.fold = made, fold
        self.parts = [np.flatnonzero(fold == place) for place in np.unique(fold)]
        x = made.matrix
        ridge = penalty * np.eye(x.shape[1])
        ridge[0, 0] = ALIKE
        grams = [x[part].T @ x[part] for part in self.parts]
        self.whole = np.linalg.inv(sum(grams) + ridge)
        self.without = [np.linalg.inv(sum(grams) - gram + ridge) for gram in grams]

    def fit(self, target: Floats) -> Fitted:
        """Return the fit of a target of shape (n,)."""
        x = self.made.matrix
        moments = [x[part].T @ target[part] for part in self.parts]
        total = np.sum(moments, axis=0)
        held_out = np.empty(target.size)
        for part, inverse, moment in zip(self.parts, self.without, moments, strict=True):
            held_out[part] = x[part] @ (inverse @ (total - moment))
        if not self.made.names:  # a constant: fits that differ by fold would only add noise
            held_out = np.full(target.size, target.mean())
        error = float(np.mean((held_out - target) ** 2)) / 2
        return Fitted(self.made.formula(self.whole @ total, logistic=False), held_out, error)


def fit_ridge(made: Design, target: Floats, fold: Ints) -> tuple[Ridge, Fitted]:
    """Return the ridge regression whose penalty predicts best out of fold."""
    tried = [Ridge(made, fold, penalty) for penalty in PENALTIES]
    found = [(ridge, ridge.fit(target)) for ridge in tried]
    return min(found, key=lambda pair: pair[1].error)


def fit_logistic(made: Design, target: Floats, fold: Ints) -> Fitted:
    """Return the logistic regression whose penalty predicts best out of fold; targets in 0..1."""
    if not made.names:
        held_out, penalty = np.full(target.size, target.mean()), PENALTIES[0]
    else:
        tried = _held_out(made.matrix, target, fold)
        place = int(np.argmin([_entropy(held_out, target) for held_out in tried]))
        held_out, penalty = tried[place], PENALTIES[place]
    weights = newton(made.matrix, target, penalty)
    return Fitted(made.formula(weights, logistic=True), held_out, _entropy(held_out, target))


def _held_out(x: Floats, target: Floats, fold: Ints) -> Floats:
    """Return the predictions of every penalty, shape (penalties, n); each starts at the last."""
    found = np.empty((len(PENALTIES), target.size))
    for place in np.unique(fold):
        inside = fold == place
        rest, wanted, weights = x[~inside], target[~inside], None
        for row in reversed(range(len(PENALTIES))):
            weights = newton(rest, wanted, PENALTIES[row], weights)
            found[row, inside] = expit(x[inside] @ weights)
    return found


def newton(x: Floats, target: Floats, penalty: float, start: Floats | None = None) -> Floats:
    """Return the weights of a logistic regression, bias first (not penalised).

    Half a right and half a wrong row are added at the mean, so that targets which are all alike
    have a finite fit. Source: Platt (1999) for the prior; iteratively reweighted least squares.
    """
    ridge = np.full(x.shape[1], penalty)
    ridge[0] = ALIKE
    weights = np.zeros(x.shape[1]) if start is None else start
    for _ in range(STEPS):
        p = expit(x @ weights)
        middle = expit(weights[0])
        gradient = x.T @ (p - target) + ridge * weights
        gradient[0] += middle - 0.5
        curvature = (x * (p * (1 - p))[:, None]).T @ x
        curvature.flat[:: x.shape[1] + 1] += ridge
        curvature[0, 0] += middle * (1 - middle)
        step = np.linalg.solve(curvature, gradient)
        weights = weights - step
        if np.abs(step).max() < CLOSE:
            break
    return weights


def expit(x: Floats) -> Floats:
    """Return 1 / (1 + exp(-x)) without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * np.asarray(x))), dtype=np.float64)


def log_odds(p: Floats, edge: float = 1e-4) -> Floats:
    """Return ln(p / (1 - p)), with p kept `edge` away from 0 and 1."""
    inside = np.clip(p, edge, 1 - edge)
    return np.asarray(np.log(inside / (1 - inside)), dtype=np.float64)


def _entropy(p: Floats, target: Floats) -> float:
    inside = np.clip(p, 1e-6, 1 - 1e-6)
    return float(-np.mean(target * np.log(inside) + (1 - target) * np.log(1 - inside)))
