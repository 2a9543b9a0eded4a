"""Choose where a fixed sequence of thresholds starts, from rows that will test nothing.

A start that fails loses everything, so the level most likely to pass is taken. Its accuracy is
estimated from the rows seen there, steadied by a smooth curve through all rows: the best of many
levels on few rows alone was mostly lucky. Nothing here carries the promise; it only costs rows.
"""

import numpy as np

from stepdown.stats.arrays import Floats, Ints

# Chosen on the synthetic populations of benchmarks/traffic/synthetic.py at targets .90 and
# .95 and 300 to 3,000 rows, confirmed on the recorded ones: bench_thresholds.py prints both.
CURVE_ROWS = 30.0  # rows that the fitted curve counts for, beside the rows seen at a level
RIDGE = (0.1, 1.0)  # on the intercept and the slope of the curve
SHARE_OFFSET = 0.02  # keeps the logarithm finite at the most confident row
_NEWTON_STEPS = 8
_POINTS = 64  # at which the curve is read to average it over a level


def choose_start(
    confidence: Floats, score: Floats, thresholds: Floats, kept: Ints, needed: Floats, total: int
) -> int:
    """Return the level with the largest estimated chance that its test passes.

    `confidence` and `score` are the rows to learn from, NaN confidence last or left out. Per
    level: its threshold, the rows `kept` there among the `total` that will test, and the sum of
    scores `needed` to pass. Returns 0 when there is nothing to learn from.
    Source: the beta-binomial predictive distribution by its normal approximation (Spiegelhalter,
    Freedman and Blackburn 1986, predictive power), with a ridge logistic curve as its prior.
    """
    known = ~np.isnan(confidence)
    if not known.any():
        return 0
    order = np.argsort(-confidence[known], kind="stable")
    sure, right = confidence[known][order], score[known][order]
    curve = _fit_curve(right)
    expected = _average(curve, kept / total)
    seen = np.searchsorted(-sure, -thresholds, side="right")
    sums = np.concatenate([[0.0], np.cumsum(right)])[seen]
    return int(np.argmax(_predicted_z(seen, sums, expected, kept, needed)))


def _predicted_z(seen: Ints, sums: Floats, expected: Floats, kept: Ints, needed: Floats) -> Floats:
    """Return by how many standard deviations the predicted sum of scores exceeds `needed`."""
    weight = seen + CURVE_ROWS
    mean = (sums + CURVE_ROWS * expected) / weight
    spread = mean * (1.0 - mean)
    variance = kept * spread + kept**2 * spread / (weight + 1.0)
    z: Floats = (kept * mean - needed + 0.5) / np.sqrt(variance + 1e-9)
    return z


def _fit_curve(score: Floats) -> Floats:
    """Fit logit(accuracy) = a + b log(share) to rows, most confident first, by Newton's method."""
    features = _features((np.arange(score.size) + 0.5) / score.size)
    ridge, weights = np.asarray(RIDGE), np.zeros(2)
    for _ in range(_NEWTON_STEPS):
        p = _logistic(features @ weights)
        curvature = (features * (p * (1.0 - p) + 1e-4)[:, None]).T @ features + np.diag(ridge)
        weights = weights + np.linalg.solve(curvature, features.T @ (score - p) - ridge * weights)
    return weights


def _average(curve: Floats, shares: Floats) -> Floats:
    """Return the mean of the curve from the most confident row to each share of the rows."""
    points = (np.arange(_POINTS) + 0.5) / _POINTS
    along = _logistic(_features((shares[:, None] * points[None, :]).ravel()) @ curve)
    return np.asarray(along.reshape(shares.size, _POINTS).mean(axis=1))


def _features(share: Floats) -> Floats:
    return np.column_stack([np.ones_like(share), np.log(share + SHARE_OFFSET) + 1.0])


def _logistic(values: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(values, -30.0, 30.0))))
