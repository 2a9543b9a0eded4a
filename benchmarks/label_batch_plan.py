"""A measured method that no verb reaches yet.

Guess, from labels already paid for, where in a pool to spend the next ones.

A guess only: it chooses a level to start from and a region to label; what is certified is tested
on fresh labels in `batch`. It knows ranks and scores, not what they are of.
"""

from dataclasses import dataclass

import numpy as np

from stepdown.stats.arrays import Floats, Ints

DRAWS = 60  # of the accuracy by level: enough to rank plans, measured in benchmarks/bench_labels
LEVEL_WEIGHT = 8.0  # labels; how strongly a level's accuracy is held to the fitted curve
RIDGE = 1.0  # of the curve's three slopes, in logits
NEWTON_STEPS = 12
PLACES = 16  # starts, and ends, that are compared


@dataclass(frozen=True, slots=True)
class Seen:
    """A pool cut into levels of falling confidence, and its labels so far, level by level."""

    width: Ints
    labelled: Ints
    correct: Floats

    @property
    def size(self) -> Ints:
        """Return the rows kept down to each level."""
        return np.cumsum(self.width)

    @property
    def free(self) -> Ints:
        """Return the unlabelled rows kept down to each level."""
        return np.cumsum(self.width - self.labelled)

    @property
    def right(self) -> Floats:
        """Return the labelled correct rows kept down to each level."""
        return np.cumsum(self.correct)


@dataclass(frozen=True, slots=True)
class Spending:
    """Start testing at `start`; label each unlabelled row with chance `density`.

    `density` spends all labels at hand on the rows down to the level that the guess hopes for.
    """

    start: int
    density: float


def spend(
    seen: Seen, labels: int, target: float, delta: float, lowest: int, rng: np.random.Generator
) -> Spending:
    """Return the start and density with the largest expected number of kept rows.

    `labels` are those left, `lowest` the first level not certified yet. For every last level and
    start the chance that all levels between pass is that of the least likely one.
    """
    accuracy = _accuracy_of_the_rest(seen, rng)
    best, chosen = -1.0, Spending(lowest, 1.0)
    for last in _places(lowest, seen.width.size):
        density = min(1.0, labels / max(int(seen.free[last]), 1))
        chance = _chance(seen, accuracy, density, target, delta)[:, lowest : last + 1]
        for start in _places(0, chance.shape[1]):
            passes = np.minimum.accumulate(chance[:, start:], axis=1).mean(axis=0)
            rows = seen.width[lowest + start : last + 1].astype(np.float64)
            rows[0] = seen.size[lowest + start]
            if float(passes @ rows) > best:
                best, chosen = float(passes @ rows), Spending(lowest + start, density)
    return chosen


def _places(first: int, end: int) -> list[int]:
    return sorted({round(i) for i in np.linspace(first, end - 1, min(PLACES, end - first))})


def _accuracy_of_the_rest(seen: Seen, rng: np.random.Generator) -> Floats:
    """Draw the accuracy of the unlabelled rows down to each level, (draws, levels)."""
    rank = (seen.size - seen.width / 2.0) / seen.size[-1]
    weights, spread = _fit(_curve(rank), seen.correct, seen.labelled - seen.correct)
    drawn = rng.multivariate_normal(weights, spread, DRAWS)
    mean = _expit(drawn @ _curve(rank).T)
    up = mean * LEVEL_WEIGHT + seen.correct
    down = (1.0 - mean) * LEVEL_WEIGHT + seen.labelled - seen.correct
    level = rng.beta(np.maximum(up, 1e-3), np.maximum(down, 1e-3))
    free = seen.width - seen.labelled
    return np.asarray(np.cumsum(level * free, axis=1) / np.maximum(seen.free, 1))


def _chance(seen: Seen, accuracy: Floats, density: float, target: float, delta: float) -> Floats:
    """Return the approximate chance that each level passes, for each draw of the accuracy."""
    from scipy import special

    free = np.maximum(seen.free, 1)
    needed = np.clip((target * seen.size - seen.right) / free, 0.01, 0.999)
    n = np.maximum(density * free, 1.0)
    finite = np.sqrt(max(1.0 - density, 1e-6))
    spread = np.sqrt(np.maximum(accuracy * (1.0 - accuracy), 0.005))
    edge = -special.ndtri(delta) * np.sqrt(needed * (1.0 - needed))
    passes = special.ndtr(((accuracy - needed) * np.sqrt(n) / finite - edge) / spread)
    return np.where(n >= np.log(delta) / np.log(needed), passes, 0.0)


def _curve(rank: Floats) -> Floats:
    """Return a constant, a line, a bend and a turn at the most confident end, roughly scaled."""
    x = rank - 0.5
    return np.column_stack([np.ones_like(x), 3.5 * x, 13.0 * (x * x - 1 / 12), np.log(rank + 0.02)])


def _fit(x: Floats, right: Floats, wrong: Floats) -> tuple[Floats, Floats]:
    """Return logistic weights with their covariance, by Newton's method with a ridge."""
    base = np.zeros(x.shape[1])
    base[0] = np.log((right.sum() + 1.0) / (wrong.sum() + 1.0))
    penalty = np.diag([0.01] + [RIDGE] * (x.shape[1] - 1))
    weights, n = base.copy(), right + wrong
    for _ in range(NEWTON_STEPS):
        p = _expit(x @ weights)
        curvature = x.T @ (x * (n * p * (1.0 - p) + 1e-6)[:, None]) + penalty
        weights += np.linalg.solve(curvature, x.T @ (right - n * p) - penalty @ (weights - base))
    return weights, np.linalg.inv(curvature).astype(np.float64)


def _expit(x: Floats) -> Floats:
    from scipy import special

    return np.asarray(special.expit(x))
