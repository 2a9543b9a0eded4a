"""A linear model of which span of a text is a field's value: one softmax over all spans and none.

The score of a span is the sum of what its first token, its last token and all its tokens say, and
of its size; the score of "absent" is 0. Like a semi-Markov model of one segment, fitted exactly.
Source: Sarawagi and Cohen (2004), "Semi-Markov conditional random fields for information
extraction"; the sum over equal values: Lee et al. (2017), "Learning recurrent span
representations for extractive question answering".

Arrays in, arrays out; it knows neither words nor fields.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct

from stepdown.train.extractor.candidates import SIZES, Spans

if TYPE_CHECKING:
    from numpy import bool_, float32, float64, intp
    from numpy.typing import NDArray

ROLES = 3  # first, last, inside


class Weights(Struct, frozen=True, eq=False):
    """Weights of hashed features (features, 3), of vectors (dim, 3) and of sizes (SIZES,)."""

    hashed: "NDArray[float32]"
    dense: "NDArray[float32]"
    sizes: "NDArray[float32]"


def scores(parts: "NDArray[Any]", spans: Spans, sizes: "NDArray[Any]") -> "NDArray[float64]":
    """Return the score of each span; `parts` is what tokens say in each role, (tokens, 3)."""
    total = np.concatenate([[0.0], np.cumsum(parts[:, 2], dtype=np.float64)])
    ends = parts[spans.first, 0] + parts[spans.last, 1]
    inside = total[spans.last + 1] - total[spans.first]
    return np.asarray(ends + inside + sizes[spans.size], dtype=np.float64)


class Rows(Struct, frozen=True, eq=False):
    """Training texts, one after the other.

    `hashed` is a sparse matrix (tokens, features), `dense` (tokens, dim). `spans` are those of all
    texts with `bounds` (texts + 1,) between them; `gold` marks right spans, `absent` texts (texts,)
    whose value is null.
    """

    hashed: Any
    dense: "NDArray[float32]"
    spans: Spans
    bounds: "NDArray[intp]"
    gold: "NDArray[bool_]"
    absent: "NDArray[bool_]"


def fit(
    rows: Rows,
    penalty: float,
    start: Weights | None = None,
    *,
    max_iterations: int,
    tolerance: float,
) -> Weights:
    """Fit the weights, beginning at `start` (zeros when there is none).

    Minimises mean negative log-likelihood + penalty / (2 * texts) * sum of squared weights.
    """
    from scipy.optimize import minimize

    features, dim = rows.hashed.shape[1], rows.dense.shape[1]
    point = np.zeros((features + dim) * ROLES + SIZES) if start is None else _flat(start)
    options = {"maxiter": max_iterations, "ftol": tolerance, "gtol": 0.0, "maxcor": 12}
    objective = _Objective(rows, penalty)
    found = minimize(objective, point, jac=True, method="L-BFGS-B", options=options)
    return _weights(found.x.astype(np.float32), features, dim)


def _flat(weights: Weights) -> "NDArray[float64]":
    parts = (weights.hashed, weights.dense, weights.sizes)
    flat: NDArray[float64] = np.concatenate([part.ravel() for part in parts]).astype(np.float64)
    return flat


def _weights(point: "NDArray[Any]", features: int, dim: int) -> Weights:
    first, second = features * ROLES, (features + dim) * ROLES
    return Weights(
        point[:first].reshape(features, ROLES),
        point[first:second].reshape(dim, ROLES),
        point[second:],
    )


class _Objective:
    """Value and gradient of the penalised negative log-likelihood."""

    def __init__(self, rows: Rows, penalty: float) -> None:
        self.rows, self.texts = rows, len(rows.absent)
        self.l2 = penalty / self.texts
        self.turned = rows.hashed.T.tocsr()
        self.owner = np.repeat(np.arange(self.texts), np.diff(rows.bounds))
        self.size = rows.spans.size

    def __call__(self, point: "NDArray[float64]") -> "tuple[float, NDArray[float64]]":
        rows = self.rows
        now = _weights(point.astype(np.float32), rows.hashed.shape[1], rows.dense.shape[1])
        parts = rows.hashed @ now.hashed + rows.dense @ now.dense
        loss, error = self._loss(scores(parts, rows.spans, now.sizes))
        spread = self._spread(error, len(parts))
        gradient = np.concatenate(
            [
                (self.turned @ spread).ravel(),
                (rows.dense.T @ spread).ravel(),
                np.bincount(self.size, error, minlength=SIZES),
            ]
        )
        return loss + 0.5 * self.l2 * float(point @ point), gradient + self.l2 * point

    def _loss(self, given: "NDArray[float64]") -> "tuple[float, NDArray[float64]]":
        """Return the mean loss and its derivative by the scores of the spans."""
        every, _, shares = self._shares(given, np.ones(self.texts, dtype=np.bool_))
        right = np.where(self.rows.gold, given, -np.inf)
        wanted, _, targets = self._shares(right, self.rows.absent)
        return float((every - wanted).mean()), (shares - targets) / self.texts

    def _shares(
        self, given: "NDArray[float64]", absent: "NDArray[bool_]"
    ) -> "tuple[NDArray[float64], NDArray[float64], NDArray[float64]]":
        """Return log of the summed odds of each text, its top, and each span's share of them."""
        top = np.maximum.reduceat(given, self.rows.bounds[:-1])
        top = np.where(absent, np.maximum(top, 0.0), top)
        odds = np.exp(given - top[self.owner])
        total = np.bincount(self.owner, odds, minlength=self.texts)
        total += np.where(absent, np.exp(-top), 0.0)
        return top + np.log(total), top, odds / total[self.owner]

    def _spread(self, error: "NDArray[float64]", tokens: int) -> "NDArray[float32]":
        """Return the derivative by what the tokens say in each role, shape (tokens, 3)."""
        spans = self.rows.spans
        begins = np.bincount(spans.first, error, minlength=tokens + 1)
        ends = np.bincount(spans.last, error, minlength=tokens + 1)
        closed = np.concatenate([[0.0], ends[:-1]])
        inside = np.cumsum(begins - closed)
        spread: NDArray[float32] = np.stack([begins, ends, inside], axis=1)[:-1].astype(np.float32)
        return spread
