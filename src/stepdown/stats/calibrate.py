"""Map raw confidences to probabilities, and measure how good such a map is.

A calibration improves display and ranking across sources. It never carries the guarantee: raw or
Platt-scaled confidence used as its own promise broke it in 59% and 74% of trials on average, in a
study made before this code. Promises are tested in `sequence` and `noninferiority` on rows that no
map saw.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from stepdown.errors import DataError
from stepdown.stats.arrays import Floats, Ints, vector, zero_one
from stepdown.stats.intervals import Interval, wilson

BINS = 15  # equal-mass bins, as in most published ECE figures
NEWTON_STEPS = 100
LEAST = 1e-9  # a score of 0 or 1 is moved this far inside, so that its log-odds are finite


@dataclass(frozen=True, slots=True)
class Temperature:
    """Divide logits by one number before the softmax."""

    temperature: float

    def __post_init__(self) -> None:
        if not 0.0 < self.temperature < np.inf:
            raise DataError(f"temperature is {self.temperature!r}; it must be above 0 and finite.")

    def apply(self, logits: ArrayLike) -> Floats:
        """Return probabilities of shape (n, classes) from logits of that shape."""
        logs = _log_softmax(np.asarray(logits, dtype=np.float64) / self.temperature)
        return np.asarray(np.exp(logs), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Platt:
    """Map a score s to 1 / (1 + exp(-(slope * s + offset)))."""

    slope: float
    offset: float

    def apply(self, scores: ArrayLike) -> Floats:
        """Return probabilities in 0..1, of the shape of the scores."""
        from scipy import special

        raw = self.slope * np.asarray(scores, dtype=np.float64) + self.offset
        return np.asarray(special.expit(raw), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Beta:
    """Map a score s in 0..1 to 1 / (1 + exp(-(a ln(s) - b ln(1 - s) + c))), a and b of 0 or more.

    With a = b it is Platt's map on the log-odds.
    """

    a: float
    b: float
    c: float

    def apply(self, scores: ArrayLike) -> Floats:
        """Return probabilities in 0..1, of the shape of the scores."""
        from scipy import special

        features = _beta_features(np.asarray(scores, dtype=np.float64))
        return np.asarray(special.expit(features @ [self.a, self.b] + self.c), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Isotonic:
    """Map a score by straight lines between knots; flat outside them."""

    scores: tuple[float, ...]
    probabilities: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.scores) != len(self.probabilities) or not self.scores:
            raise DataError("An isotonic map needs as many scores as probabilities, at least one.")
        if np.any(np.diff(self.scores) < 0) or np.any(np.diff(self.probabilities) < 0):
            raise DataError("An isotonic map needs rising scores and rising probabilities.")

    def apply(self, scores: ArrayLike) -> Floats:
        """Return probabilities in 0..1, of the shape of the scores."""
        raw = np.asarray(scores, dtype=np.float64)
        return np.asarray(np.interp(raw, self.scores, self.probabilities), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Bin:
    """One bin of a reliability plot, with the interval of its accuracy."""

    mean_confidence: float
    accuracy: float
    n: int
    interval: Interval


@dataclass(frozen=True, slots=True)
class RiskCoverage:
    """For each threshold that some row meets: the share kept, and the error among the kept."""

    thresholds: Floats
    coverage: Floats
    risk: Floats

    @property
    def area(self) -> float:
        """Return the mean risk over coverage (AURC). Source: Geifman, Uziel, El-Yaniv (2019)."""
        widths = np.diff(np.concatenate([[0.0], self.coverage]))
        return float(np.sum(widths * self.risk))


def fit_temperature(logits: ArrayLike, labels: ArrayLike) -> Temperature:
    """Fit the temperature by the likelihood of labels 0..classes-1; search range 0.01..100.

    Logits have shape (n, classes). Source: Guo, Pleiss, Sun and Weinberger (2017).
    """
    from scipy import optimize

    raw, classes = _logits(logits), np.asarray(labels, dtype=np.int64)
    if classes.shape != (raw.shape[0],) or np.any((classes < 0) | (classes >= raw.shape[1])):
        raise DataError(f"labels: expected {raw.shape[0]} classes in 0..{raw.shape[1] - 1}.")

    def loss(log_temperature: float) -> float:
        logs = _log_softmax(raw / np.exp(log_temperature))
        return float(-logs[np.arange(classes.size), classes].mean())

    found = optimize.minimize_scalar(loss, bounds=(np.log(0.01), np.log(100.0)), method="bounded")
    return Temperature(float(np.exp(found.x)))


def fit_platt(scores: ArrayLike, correct: ArrayLike) -> Platt:
    """Fit a logistic map with Platt's smoothed targets, by Newton's method.

    Source: Platt (1999); Lin, Lin and Weng (2007).
    """
    raw, good = _finite(scores), zero_one("correct", correct)
    _same_length(raw, good)
    centre, scale = float(raw.mean()), float(raw.std()) or 1.0
    features = np.column_stack([(raw - centre) / scale, np.ones_like(raw)])
    slope, offset = _logistic(features, _smoothed(good))
    return Platt(slope / scale, offset - slope * centre / scale)


def fit_beta(scores: ArrayLike, correct: ArrayLike) -> Beta:
    """Fit a beta map with Platt's smoothed targets; a side whose weight is below 0 is left out.

    Scores in 0..1. Source: Kull, Silva Filho and Flach (2017), section 4.
    """
    raw, good = vector("scores", scores, 0.0, 1.0), zero_one("correct", correct)
    _same_length(raw, good)
    features, used = _beta_features(raw), [0, 1]
    a, b, c = _fit_columns(features, good, used)
    while used and min(a, b) < 0:
        used = [] if len(used) == 1 else [int(b > a)]
        a, b, c = _fit_columns(features, good, used)
    return Beta(a, b, c)


def _beta_features(scores: Floats) -> Floats:
    inside = np.clip(scores, LEAST, 1 - LEAST)
    return np.stack([np.log(inside), -np.log1p(-inside)], axis=-1)


def _fit_columns(features: Floats, good: Floats, used: list[int]) -> tuple[float, float, float]:
    """Fit some of the two columns and an offset; the weights of the others are 0."""
    kept = features[:, used]
    centre, scale = kept.mean(axis=0), np.where(kept.std(axis=0) > 0, kept.std(axis=0), 1.0)
    columns = np.column_stack([(kept - centre) / scale, np.ones(good.size)])
    *fitted, offset = _logistic(columns, _smoothed(good))
    weights = np.zeros(2)
    weights[used] = np.asarray(fitted) / scale
    return float(weights[0]), float(weights[1]), float(offset - centre @ weights[used])


def fit_isotonic(scores: ArrayLike, correct: ArrayLike) -> Isotonic:
    """Fit a rising map by pooling adjacent violators. Source: Ayer et al. (1955).

    `correct` in 0..1; equal scores share one value.
    """
    raw, good = _finite(scores), vector("correct", correct, 0.0, 1.0)
    _same_length(raw, good)
    knots, place = np.unique(raw, return_inverse=True)
    weight = np.bincount(place).astype(np.float64)
    level = _pool(np.bincount(place, weights=good) / weight, weight)
    # A knot inside a flat stretch says nothing: only its two ends are kept.
    ends = np.ones(knots.size, dtype=bool)
    ends[1:-1] = (level[1:-1] != level[:-2]) | (level[1:-1] != level[2:])
    return Isotonic(tuple(knots[ends].tolist()), tuple(level[ends].tolist()))


def ece(confidence: ArrayLike, correct: ArrayLike, bins: int = BINS) -> float | None:
    """Return the expected calibration error over equal-mass bins, 0..1; None without rows.

    Source: Naeini, Cooper and Hauskrecht (2015); equal mass as in Nguyen and O'Connor (2015).
    """
    parts = reliability_bins(confidence, correct, bins)
    n = sum(part.n for part in parts)
    if n == 0:
        return None
    return sum(part.n * abs(part.mean_confidence - part.accuracy) for part in parts) / n


def brier(confidence: ArrayLike, correct: ArrayLike) -> float | None:
    """Return the mean squared error of the confidence, 0..1; None without rows. Brier (1950)."""
    p, good = _pair(confidence, correct)
    return float(np.mean((p - good) ** 2)) if p.size else None


def auroc(scores: ArrayLike, correct: ArrayLike) -> float | None:
    """Return the chance that a correct row scores above a wrong one, a tie counting half.

    None when there is only one class. Source: Hanley and McNeil (1982), by mid-ranks.
    """
    from scipy import stats

    raw, good = _finite(scores), zero_one("correct", correct)
    _same_length(raw, good, allow_empty=True)
    n_good, n_bad = int(good.sum()), int((1.0 - good).sum())
    if n_good == 0 or n_bad == 0:
        return None
    ranks = float(stats.rankdata(raw)[good == 1.0].sum())
    return (ranks - n_good * (n_good + 1) / 2.0) / (n_good * n_bad)


def auroc_error(area: float, n_good: int, n_bad: int) -> float:
    """Return the standard error of an AUROC. Source: Hanley and McNeil (1982), equation 1.

    A perfect area among few rows has not shown an error of 0: it counts as half a pair short.
    """
    least = 0.5 / max(1, min(n_good, n_bad))
    a = min(max(area, least), 1 - least)
    one, two = a / (2 - a), 2 * a * a / (1 + a)
    spread = a * (1 - a) + (n_good - 1) * (one - a * a) + (n_bad - 1) * (two - a * a)
    return float(np.sqrt(max(spread, 0.0) / (n_good * n_bad)))


def risk_coverage(confidence: ArrayLike, correct: ArrayLike) -> RiskCoverage:
    """Return share kept and error of the kept, from the highest threshold to the lowest.

    `correct` in 0..1. Ties are kept together. Source: El-Yaniv and Wiener (2010).
    """
    raw, good = _finite(confidence), vector("correct", correct, 0.0, 1.0)
    _same_length(raw, good, allow_empty=True)
    thresholds, place = np.unique(-raw, return_inverse=True)
    kept = np.cumsum(np.bincount(place, minlength=thresholds.size))
    wrong = np.cumsum(np.bincount(place, weights=1.0 - good, minlength=thresholds.size))
    return RiskCoverage(-thresholds, kept / max(raw.size, 1), wrong / np.maximum(kept, 1))


def reliability_bins(
    confidence: ArrayLike, correct: ArrayLike, bins: int = BINS, level: float = 0.95
) -> tuple[Bin, ...]:
    """Return equal-mass bins with mean confidence, accuracy, n and Wilson interval.

    Equal confidences stay in one bin, so that there may be fewer bins than asked for.
    """
    p, good = _pair(confidence, correct)
    if bins < 1:
        raise DataError(f"bins is {bins}; it must be at least 1.")
    place = _equal_mass(p, bins)
    return tuple(_bin(p[place == b], good[place == b], level) for b in np.unique(place))


def _bin(confidence: Floats, correct: Floats, level: float) -> Bin:
    n, good = correct.size, int(correct.sum())
    return Bin(float(confidence.mean()), good / n, n, wilson(good, n, level))


def _equal_mass(values: Floats, bins: int) -> Ints:
    """Return the bin of each row by rank; ties take the bin of their first row."""
    first_rank = np.searchsorted(np.sort(values), values, side="left")
    return np.asarray(first_rank * bins // max(values.size, 1), dtype=np.int64)


def _log_softmax(logits: Floats) -> Floats:
    from scipy import special

    return np.asarray(special.log_softmax(logits, axis=-1), dtype=np.float64)


def _logits(logits: ArrayLike) -> Floats:
    raw = np.asarray(logits, dtype=np.float64)
    if raw.ndim != 2 or raw.shape[0] == 0 or not np.isfinite(raw).all():
        raise DataError(f"logits: expected finite values of shape (n, classes), got {raw.shape}.")
    return raw


def _finite(scores: ArrayLike) -> Floats:
    raw = np.asarray(scores, dtype=np.float64)
    if raw.ndim != 1 or not np.isfinite(raw).all():
        raise DataError("scores: expected one dimension of finite numbers.")
    return raw


def _pair(confidence: ArrayLike, correct: ArrayLike) -> tuple[Floats, Floats]:
    p, good = vector("confidence", confidence, 0.0, 1.0), zero_one("correct", correct)
    _same_length(p, good, allow_empty=True)
    return p, good


def _same_length(first: Floats, second: Floats, *, allow_empty: bool = False) -> None:
    if first.size != second.size:
        raise DataError(f"{first.size} scores and {second.size} outcomes; pairs are needed.")
    if first.size == 0 and not allow_empty:
        raise DataError("There are no rows to fit a calibration on.")


def _smoothed(good: Floats) -> Floats:
    positive, negative = good.sum(), (1.0 - good).sum()
    high, low = (positive + 1.0) / (positive + 2.0), 1.0 / (negative + 2.0)
    return np.asarray(np.where(good == 1.0, high, low), dtype=np.float64)


def _logistic(features: Floats, targets: Floats) -> tuple[float, ...]:
    """Minimise the cross-entropy by Newton steps, each halved until it improves."""
    weights = np.zeros(features.shape[1])
    for _ in range(NEWTON_STEPS):
        gradient, curvature = _derivatives(features, targets, weights)
        step = np.linalg.solve(curvature, gradient)
        while _cross_entropy(features, targets, weights - step) > _cross_entropy(
            features, targets, weights
        ):
            step = step / 2.0
            if np.abs(step).max() < 1e-12:
                break
        weights = weights - step
        if np.abs(step).max() < 1e-10:
            break
    return tuple(weights.tolist())


def _derivatives(features: Floats, targets: Floats, weights: Floats) -> tuple[Floats, Floats]:
    from scipy import special

    p = special.expit(features @ weights)
    ridge = 1e-9 * np.eye(features.shape[1])  # keeps a constant score solvable
    curvature = (features * (p * (1.0 - p))[:, None]).T @ features + ridge
    return np.asarray(features.T @ (p - targets)), np.asarray(curvature)


def _cross_entropy(features: Floats, targets: Floats, weights: Floats) -> float:
    raw = features @ weights
    return float(np.sum(np.logaddexp(0.0, raw) - targets * raw))


def _pool(level: Floats, weight: Floats) -> Floats:
    """Merge neighbours that fall until all rise, and spread each block's mean over its members."""
    blocks: list[tuple[float, float, int]] = []
    for value, mass in zip(level, weight, strict=True):
        block = (float(value), float(mass), 1)
        while blocks and blocks[-1][0] >= block[0]:
            block = _merge(blocks.pop(), block)
        blocks.append(block)
    return np.repeat([b[0] for b in blocks], [b[2] for b in blocks])


def _merge(
    first: tuple[float, float, int], second: tuple[float, float, int]
) -> tuple[float, float, int]:
    mass = first[1] + second[1]
    return ((first[0] * first[1] + second[0] * second[1]) / mass, mass, first[2] + second[2])
