"""The loss of all traffic from a random part of it: unbiased, covered at every look, honest."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from stepdown.errors import DataError
from stepdown.stats.audited_loss import audited_loss


def traffic(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Confidence, and the loss of keeping: unsure answers lose more, and later ones too."""
    sure = rng.random(n)
    rate = 0.3 * (1 - sure) + 0.15 * (np.arange(n) > n / 2)
    return sure, (rng.random(n) < rate).astype(float)


def audits(rng: np.random.Generator, n: int, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What each request loses under selective escalation, and who was drawn."""
    sure, lost = traffic(rng, n)
    return np.where(sure >= 0.4, lost, 0.0), rng.random(n) < share


def test_under_selective_escalation_the_estimate_is_unbiased() -> None:
    n, rng, share = 2000, np.random.default_rng(1), np.full(2000, 0.1)
    errors = []
    for _ in range(600):
        lost, drawn = audits(rng, n, share)
        found = audited_loss(lost[drawn], share[drawn], n)
        assert found.value is not None
        errors.append(found.value - lost.mean())
    mean, se = float(np.mean(errors)), float(np.std(errors)) / len(errors) ** 0.5
    assert abs(mean) <= 4 * se
    naive = []
    for _ in range(200):
        lost, drawn = audits(rng, n, share)
        kept = lost > 0
        naive.append(lost[drawn & kept].mean() - lost.mean())
    assert np.mean(naive) > 0.1  # looking at complaints alone would be biased


def test_the_interval_holds_at_every_look_together_while_traffic_drifts() -> None:
    n, trials, missed = 1500, 300, 0
    for seed in range(trials):
        rng = np.random.default_rng(100 + seed)
        share = np.where(np.arange(n) < 500, 0.2, 0.05)  # the share was changed on the way
        lost, drawn = audits(rng, n, share)
        for look in range(50, n + 1, 50):
            inside = drawn[:look]
            found = audited_loss(lost[:look][inside], share[:look][inside], look)
            if not found.low <= lost[:look].mean() <= found.high:
                missed += 1
                break
    assert stats.binomtest(missed, trials, 0.05, alternative="greater").pvalue > 0.01


def test_what_is_missing_widens_the_interval_and_is_never_agreement() -> None:
    known = audited_loss([0.0] * 100, [0.1] * 100, 1000)
    worse = audited_loss([0.0] * 90, [0.1] * 90, 1000, missing=[0.1] * 10)
    assert (known.value, worse.value) == (0.0, 0.0)
    assert worse.high > known.high + 0.05
    assert (worse.audited, worse.missing) == (90, 10)


def test_an_estimate_takes_what_is_missing_to_lose_as_the_rest_does() -> None:
    found = audited_loss([1.0, 0.0], [0.1, 0.1], 40, missing=[0.1, 0.1])
    assert found.value == pytest.approx(0.5)


def test_more_audits_narrow_the_interval() -> None:
    widths = []
    for n in (200, 2000, 20_000):
        lost = np.zeros(n // 10)
        lost[::20] = 1
        found = audited_loss(lost, np.full(lost.size, 0.1), n)
        widths.append(found.high - found.low)
    assert widths[0] > widths[1] > widths[2]


def test_nothing_seen_says_nothing() -> None:
    found = audited_loss([], [], 0)
    assert (found.value, found.low, found.high) == (None, 0.0, 1.0)
    unseen = audited_loss([], [], 50)
    assert (unseen.value, unseen.low, unseen.high) == (None, 0.0, pytest.approx(unseen.high))


def test_impossible_draws_are_refused() -> None:
    with pytest.raises(ValueError, match="propensity"):
        audited_loss([0.0], [0.0], 10)
    with pytest.raises(ValueError, match="drawn"):
        audited_loss([0.0, 1.0], [0.5, 0.5], 1)
    with pytest.raises(ValueError, match="propensities"):
        audited_loss([0.0, 1.0], [0.5], 10)
    with pytest.raises(DataError, match="losses"):
        audited_loss([2.0], [0.5], 10)
