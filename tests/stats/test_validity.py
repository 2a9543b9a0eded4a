"""Do promises about a path of policies hold? Seeded simulation, exact tests, Holm over cells.

A cell fails when its violations are more than a true rate of delta explains; with many cells at
exactly delta, "delta + 2 standard errors" would fail somewhere by chance. Thresholds of kept
accuracy are studied in test_validity_study.py.
"""

import numpy as np
import pytest

from stepdown.stats import paired_exact
from stepdown.stats.noninferiority import certify_path, certify_path_counts
from traffic.study import broken_too_often

DELTA = 0.1


def assert_holm(violations: dict[str, tuple[int, int]]) -> None:
    rejected = broken_too_often(violations, DELTA)
    assert not rejected, f"of {len(violations)} cells: {rejected}"


@pytest.mark.parametrize(("n", "epsilon"), [(150, 0.02), (300, 0.05), (1000, 0.02)])
@pytest.mark.parametrize("delta", [0.015, 0.1])
def test_the_exact_test_holds_at_every_null_point_of_a_fine_grid(
    n: int, epsilon: float, delta: float
) -> None:
    rank = paired_exact.critical_rank(n, epsilon, delta)
    region = paired_exact.region_above(rank, n, epsilon)
    for extra in (0.0, 0.003, 0.03):
        border = epsilon + extra
        plus = (1 - border) / 2 * np.linspace(0, 1, 1500) ** 2
        assert paired_exact.chance(region, plus + border, plus).max() <= delta + 1e-9


def law(loss: float, discordance: float) -> list[float]:
    return [(discordance + loss) / 2, 1 - discordance, (discordance - loss) / 2]


def paths_of_bad_policies(n: int, trials: int, seed: int) -> int:
    """Count certificates for paths on which no policy but the ceiling keeps the promise."""
    rng = np.random.default_rng([n, seed])
    bad = 0
    for _ in range(trials):
        draws = rng.multinomial(n, law(0.06, 0.1), 5)  # -1, 0, 1; independent policies: hardest
        minus, plus = np.concatenate([[0], draws[:, 0]]), np.concatenate([[0], draws[:, 2]])
        bad += certify_path_counts(minus, plus, n, 0.06, DELTA, start=4).chosen > 0
    return bad


def graded_violations(n: int, trials: int, loss: float) -> int:
    bad = 0
    for trial in range(trials):
        rng = np.random.default_rng([n, trial])
        table = np.clip(rng.normal(0, 0.15, (3, n)), -0.3, 0.3) * (rng.random((3, n)) < 0.4) - loss
        table[0] = 0.0
        bad += certify_path(table, loss, DELTA, start=2, seed=trial).chosen > 0
    return bad


def grouped_violations(groups: int, trials: int, loss: float) -> int:
    """Rows of a group share one draw; sizes 1 to 6."""
    bad = 0
    for trial in range(trials):
        rng = np.random.default_rng([groups, trial])
        codes = np.repeat(np.arange(groups), np.arange(groups) % 6 + 1)
        shared = rng.choice([-1.0, 0.0, 1.0], groups, p=law(loss, 0.08))[codes]
        table = np.vstack([np.zeros(codes.size), shared])
        bad += certify_path(table, loss, DELTA, 1, codes, scores="binary").chosen > 0
    return bad


def test_paths_certify_a_bad_policy_no_more_often_than_delta() -> None:
    assert_holm(
        {
            "exact, n=30": (paths_of_bad_policies(30, 100, 1), 100),
            "graded, n=200": (graded_violations(200, 200, 0.03), 200),
            "groups, 150": (grouped_violations(150, 400, 0.05), 400),
        }
    )


@pytest.mark.slow
def test_paths_certify_a_bad_policy_no_more_often_than_delta_in_a_larger_study() -> None:
    cells = {f"exact, n={n}": (paths_of_bad_policies(n, 400, 2), 400) for n in (40, 150, 400)}
    cells |= {f"graded, n={n}": (graded_violations(n, 1500, 0.03), 1500) for n in (60, 1000)}
    cells |= {f"groups, {n}": (grouped_violations(n, 1500, 0.05), 1500) for n in (60, 600)}
    assert_holm(cells)


def test_treating_grouped_rows_as_independent_is_caught_by_this_very_judge() -> None:
    bad = 0
    for trial in range(120):
        rng = np.random.default_rng(trial)
        rows = np.repeat(rng.choice([-1.0, 0.0, 1.0], 30, p=law(0.05, 0.08)), 10)
        minus, plus = int((rows < 0).sum()), int((rows > 0).sum())
        bad += certify_path_counts([0, minus], [0, plus], 300, 0.05, DELTA, 1).chosen > 0
    assert broken_too_often({"rows": (bad, 120)})
