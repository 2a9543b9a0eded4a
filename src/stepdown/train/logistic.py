"""Multinomial logistic regression with an L2 penalty, on dense features; arrays in, arrays out.

It knows nothing of texts, encoders or files.
"""

from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

if TYPE_CHECKING:
    from numpy import float32, float64, intp
    from numpy.typing import NDArray


class Linear(Struct, frozen=True, eq=False):
    """Weights of shape (dim, labels) and bias of shape (labels,), both float32."""

    weights: "NDArray[float32]"
    bias: "NDArray[float32]"

    def logits(self, features: "NDArray[float32]") -> "NDArray[float32]":
        """Return scores before the softmax, shape (rows, labels)."""
        scores: NDArray[float32] = features @ self.weights + self.bias
        return scores


class Rotation(Struct, frozen=True, eq=False):
    """Coordinates in which the objective is nearly round, so that L-BFGS needs few steps.

    The fitted model is the same one: weights = basis @ inner weights. The scale
    is the curvature of the softmax at the uniform prediction along each principal axis; a fixed
    curvature for this objective goes back to Boehning (1992), "Multinomial logistic regression
    algorithm".
    """

    mean: "NDArray[float32]"
    basis: "NDArray[float32]"
    scale: "NDArray[float32]"


def rotate(features: "NDArray[float32]", l2: float, labels: int) -> Rotation:
    """Return the rotation to principal axes, each scaled by its curvature."""
    mean = features.mean(axis=0)
    centred = features - mean
    variance, axes = np.linalg.eigh(centred.T @ centred / np.float32(len(features)))
    curvature = np.maximum(variance, 0) * (1 - 1 / labels) / labels + l2
    scale = (1 / np.sqrt(curvature)).astype(np.float32)
    return Rotation(mean, (axes * scale).astype(np.float32), scale)


def fit_path(
    features: "NDArray[float32]",
    labels: "NDArray[intp]",
    n_labels: int,
    l2_path: "tuple[float, ...]",
    *,
    max_iterations: int,
    tolerance: float,
) -> list[Linear]:
    """Fit one model for each penalty, each starting from the one before (strong to weak).

    Minimises mean cross-entropy + l2/2 * sum of squared weights (the bias is free).
    """
    turn = rotate(features, min(l2_path), n_labels)
    inner = ((features - turn.mean) @ turn.basis).astype(np.float32, copy=False)
    point: NDArray[float64] = np.zeros((inner.shape[1] + 1) * n_labels)
    fitted = []
    for l2 in l2_path:
        objective = _Objective(inner, labels, n_labels, l2, turn.scale)
        point = _minimise(objective, point, max_iterations, tolerance)
        fitted.append(_unrotate(point, turn, n_labels))
    return fitted


def _minimise(
    objective: "_Objective", start: "NDArray[float64]", max_iterations: int, tolerance: float
) -> "NDArray[float64]":
    from scipy.optimize import minimize

    options = {"maxiter": max_iterations, "ftol": tolerance, "gtol": 0.0, "maxcor": 20}
    found = minimize(objective, start, jac=True, method="L-BFGS-B", options=options)
    point: NDArray[float64] = found.x
    return point


def _unrotate(point: "NDArray[float64]", turn: Rotation, n_labels: int) -> Linear:
    table = point.reshape(-1, n_labels)
    weights = turn.basis @ table[:-1].astype(np.float32)
    bias = table[-1].astype(np.float32) - turn.mean @ weights
    return Linear(weights.astype(np.float32), bias.astype(np.float32))


class _Objective:
    """Value and gradient of the penalised mean cross-entropy, in rotated coordinates."""

    def __init__(
        self,
        inner: "NDArray[float32]",
        labels: "NDArray[intp]",
        n_labels: int,
        l2: float,
        scale: "NDArray[float32]",
    ) -> None:
        self.inner, self.labels, self.n_labels = inner, labels, n_labels
        self.penalty = (l2 * scale.astype(np.float64) ** 2)[:, None]
        self.rows = np.arange(len(labels))

    def __call__(self, point: "NDArray[float64]") -> "tuple[float, NDArray[float64]]":
        table = point.reshape(-1, self.n_labels)
        weights = table[:-1].astype(np.float32)
        loss, error = self._loss(self.inner @ weights + table[-1].astype(np.float32))
        gradient = np.empty_like(table)
        gradient[:-1] = self.inner.T @ error
        gradient[-1] = error.sum(axis=0)
        gradient[:-1] += self.penalty * table[:-1]
        return loss + 0.5 * float((self.penalty * table[:-1] ** 2).sum()), gradient.ravel()

    def _loss(self, logits: "NDArray[float32]") -> "tuple[float, NDArray[float32]]":
        """Return the mean cross-entropy and its derivative by the logits."""
        logits -= logits.max(axis=1, keepdims=True)
        right = logits[self.rows, self.labels]
        np.exp(logits, out=logits)
        total = logits.sum(axis=1, keepdims=True)
        loss = float((np.log(total[:, 0], dtype=np.float64) - right).mean())
        logits /= total
        logits[self.rows, self.labels] -= 1
        logits /= np.float32(len(logits))
        return loss, logits
