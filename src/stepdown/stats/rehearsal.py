"""Rehearse a certificate: draw rows as assumed, label them as `labelling` would, test the path.

For what `planning` cannot sum: paths, graded scores, labels that stop once decided.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from stepdown.errors import DataError
from stepdown.stats import bounds
from stepdown.stats.arrays import Bools, Floats, Ints, bounded
from stepdown.stats.labelling import Question, decided, next_rows
from stepdown.stats.labels import Labels, no_labels
from stepdown.stats.noninferiority import Scores
from stepdown.stats.planning import check_shares

INTERVAL_DELTA = 0.05  # each side of a simulated chance


@dataclass(frozen=True, slots=True)
class Simulated:
    """How often `n` rows certified a policy, with a 90% interval, and what the labels cost.

    `labels_median` and `labels_high` (its 90th percentile) stop once the question is decided.
    """

    n: int
    power: float
    low: float
    high: float
    trials: int
    labels_median: float
    labels_high: float


Draw = Callable[[int, np.random.Generator], tuple[Bools, Floats]]
"""Rows and a generator in; agree and difference out, each of shape (policies, rows)."""


def from_rates(kept: float, disagree: float, loss: float, gain: float) -> Draw:
    """Return a source of independent 0/1 rows with these rates, for one policy (and the ceiling).

    The rates are those of `plan_max_loss`.
    """
    check_shares(kept=kept, disagree=disagree, loss=loss, gain=gain)
    chances = kept * np.array([loss, gain, disagree - loss - gain])

    def draw(n: int, rng: np.random.Generator) -> tuple[Bools, Floats]:
        kind = rng.choice(4, n, p=[*chances, 1.0 - chances.sum()])
        told = np.array([-1.0, 1.0, 0.0, 0.0])[kind]
        return _with_ceiling((kind == 3)[None], told[None])

    return draw


def from_pilot(agree: Bools, difference: Floats) -> Draw:
    """Return a source of rows drawn again from pilot rows; both (policies, n), ceiling first.

    Few pilot rows without a loss promise too much: plan also with a loss more than was seen.
    """
    table = bounded("difference", difference, -1.0, 1.0)
    if table.ndim != 2 or table.shape != agree.shape or table.shape[1] == 0:
        raise DataError(f"pilot: agree {agree.shape} and difference {table.shape} do not match.")

    def draw(n: int, rng: np.random.Generator) -> tuple[Bools, Floats]:
        rows: Ints = rng.integers(0, table.shape[1], n)
        return agree[:, rows], table[:, rows]

    return draw


def simulate_path(
    draw: Draw,
    n: int,
    max_loss: float,
    delta: float,
    start: int,
    *,
    wanted: int = 1,
    scores: Scores = "binary",
    trials: int = 200,
    seed: int = 0,
    batch: int = 10,
) -> Simulated:
    """Run the path test with its labelling on drawn rows; count certificates up to `wanted`.

    Trial i is seeded by (seed, i). A certificate counts when policy `wanted` or a cheaper passed.
    """
    found = np.array(
        [
            _trial(draw, n, max_loss, delta, start, scores, batch, [seed, one])
            for one in range(trials)
        ]
    ).reshape(trials, 2)
    hits = int((found[:, 0] >= wanted).sum())
    return Simulated(
        n=n,
        power=hits / trials,
        low=bounds.accuracy_lower_bound(hits, trials, INTERVAL_DELTA),
        high=1.0 - bounds.accuracy_lower_bound(trials - hits, trials, INTERVAL_DELTA),
        trials=trials,
        labels_median=float(np.median(found[:, 1])),
        labels_high=float(np.quantile(found[:, 1], 0.9)),
    )


def _trial(
    draw: Draw,
    n: int,
    max_loss: float,
    delta: float,
    start: int,
    scores: Scores,
    batch: int,
    seed: list[int],
) -> tuple[int, int]:
    """Return the policy of the verdict and the labels that it took."""
    agree, truth = draw(n, np.random.default_rng(seed))
    question = Question(agree, max_loss, delta, start, scores=scores, seed=seed[-1])
    labels = replace(no_labels(n), difference=truth)
    while (verdict := decided(question, labels)) is None:
        known = labels.known.copy()
        known[next_rows(question, labels, batch).rows] = True
        labels = Labels(known, truth)
    return verdict, labels.used


def _with_ceiling(agree: Bools, difference: Floats) -> tuple[Bools, Floats]:
    same = np.ones((1, agree.shape[1]), dtype=bool)
    return np.vstack([same, agree]), np.vstack([np.zeros((1, agree.shape[1])), difference])
