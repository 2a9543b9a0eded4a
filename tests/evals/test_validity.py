"""The decision and its intervals keep their word: seeded simulation, exact binomial tests.

Each cell is judged by an exact binomial test with Holm (1979) over the cells, so that many cells at
exactly their level do not fail one of them by chance.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from eval_fakes import LABEL_TASK
from msgspec.structs import replace
from numpy.typing import NDArray

from stepdown.core.task import Promise
from stepdown.evals.decision import Evidence, Question, decide_on
from stepdown.evals.summary import Asking, summarise_tallies
from stepdown.evals.tally import Tally
from stepdown.ports.run_store import RunRow

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], tuple[Floats, Floats, NDArray[np.int64] | None]]
MAX_LOSS, DELTA = 0.05, 0.1
ALARM = 0.001


def exactly_too_weak(draw: np.random.Generator, n: int) -> tuple[Floats, Floats, None]:
    """0/1 scores: 8 of 100 rows lost, 3 won: a loss of exactly what is not allowed any more."""
    u = draw.random(n)
    best = np.ones(n)
    best[u > 0.97] = 0.0
    return np.where(u < 0.08, 0.0, 1.0), best, None


def graded(draw: np.random.Generator, n: int) -> tuple[Floats, Floats, None]:
    """Graded scores, skewed: one row in ten loses half of its score."""
    best = draw.choice([0.5, 0.75, 1.0], size=n)
    return best - np.where(draw.random(n) < 0.1, 0.5, 0.0), best, None


def clustered(draw: np.random.Generator, n: int) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Conversations of five rows that are lost together."""
    groups = np.arange(n) // 5
    lost = draw.random(groups.max() + 1) < 0.05
    return np.where(lost[groups], 0.0, 1.0), np.ones(n), groups


def repeats(draw: np.random.Generator, n: int) -> tuple[Floats, Floats, None]:
    """Means of three repeats, each wrong with a chance that differs from row to row."""
    chance = draw.beta(0.5, 9.5, size=n)  # mean 0.05
    wrong = draw.binomial(3, chance) / 3
    return 1.0 - wrong, np.ones(n), None


CELLS: list[tuple[Draw, bool, int]] = [
    (exactly_too_weak, True, 100),
    (exactly_too_weak, True, 400),
    (graded, False, 100),
    (graded, False, 400),
    (clustered, True, 200),
    (clustered, True, 600),
    (repeats, False, 150),
]


def passes(cell: tuple[Draw, bool, int], seed: int, tiers: int) -> bool:
    """Say whether any of several tiers that are exactly too weak passes."""
    make, binary, n = cell
    asked = Question(max_loss=MAX_LOSS, delta=DELTA, binary=binary, seed=seed)
    evidence = []
    for i in range(tiers):
        scores, ceiling, groups = make(np.random.default_rng([seed, i]), n)
        high = 1.0  # never "fails": the plan for more labels is not what is tested
        evidence.append(
            Evidence(
                tier=f"t{i}", scores=scores, ceiling=ceiling, groups=groups, difference_high=high
            )
        )
    decided = decide_on(evidence, "big", asked)
    return any(each.verdict == "passes" for each in decided.tested)


def holm_alarm(p_values: list[float]) -> bool:
    ranked = sorted(p_values)
    return any(p <= ALARM / (len(ranked) - i) for i, p in enumerate(ranked))


@pytest.mark.slow
@pytest.mark.parametrize("tiers", [1, 3])
def test_tiers_that_are_exactly_too_weak_pass_no_more_often_than_delta(
    tiers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scipy import stats

    from stepdown.evals import decision

    monkeypatch.setattr(decision, "more_labels", lambda *_: None)
    trials, found = 300, list[float]()
    for cell in CELLS:
        wrong = sum(passes(cell, seed, tiers) for seed in range(trials))
        found.append(stats.binomtest(wrong, trials, DELTA, alternative="greater").pvalue)
    assert not holm_alarm(found), found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "truth", "gap"),
    [
        (exactly_too_weak, 0.92, -0.05),
        (graded, 0.70, -0.05),
        (clustered, 0.95, -0.05),
        (repeats, 0.95, -0.05),
    ],
)
def test_intervals_of_score_and_difference_cover_the_truth_as_often_as_they_say(
    make: Draw, truth: float, gap: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Skewed cells may fall short by a little at n = 400: at most by 2 points of 95."""
    from scipy import stats

    from stepdown.evals import decision

    monkeypatch.setattr(decision, "more_labels", lambda *_: None)
    trials, n, hits = 400, 400, {"score": 0, "difference": 0}
    task = replace(LABEL_TASK, promise=Promise(max_loss=MAX_LOSS, delta=DELTA))
    for seed in range(trials):
        scores, ceiling, groups = make(np.random.default_rng([7, seed]), n)
        found = summarise_tallies(
            task,
            {"small": tally(scores), "big": tally(ceiling)},
            groups,
            Asking(seed=seed, binary=make in (exactly_too_weak, clustered)),
        ).tiers[0]
        assert found.difference is not None
        hits["score"] += found.score.low <= truth <= found.score.high  # type: ignore[operator]
        hits["difference"] += found.difference.low <= gap <= found.difference.high  # type: ignore[operator]
    for name, inside in hits.items():
        p = stats.binomtest(inside, trials, 0.93, alternative="less").pvalue
        assert p > ALARM, (name, inside / trials)


def tally(scores: Floats) -> Tally:
    made = Tally(scores.size, 1)
    for i, score in enumerate(scores.tolist()):
        made.put(i, RunRow(sample_id=str(i), score=score))
    return made


def test_the_interval_of_very_many_graded_rows_agrees_with_the_bootstrap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from stepdown.stats import intervals

    rows = np.random.default_rng(3).beta(0.3, 3.0, size=20_000)
    slow = intervals.mean_interval(rows)
    monkeypatch.setattr(intervals, "MOST_FOR_BOOTSTRAP", 1000)
    fast = intervals.mean_interval(rows)
    assert "bootstrap" in slow.method
    assert "t" in fast.method
    assert fast.low == pytest.approx(slow.low, abs=5e-4)
    assert fast.high == pytest.approx(slow.high, abs=5e-4)
