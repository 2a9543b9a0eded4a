"""The alarm that begins anew every day: valid at every look, quick, and of constant size."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from stepdown.errors import DataError
from stepdown.stats.restarts import Watch, Watched, after_day, begun, watch

DAYS = 92


def rang_after(seen: Watch, days: list[np.ndarray]) -> int | None:
    state = begun(seen)
    for day, losses in enumerate(days):
        state = after_day(seen, state, losses, day)
        if state.rings:
            return day
    return None


def stream(rng: np.random.Generator, rates: list[float], n: int) -> list[np.ndarray]:
    return [(rng.random(n) < rate).astype(float) for rate in rates]


def test_false_alarms_under_looks_at_every_vote_stay_within_alpha() -> None:
    seen, trials = watch(0.06, days=DAYS, alpha=0.05), 400
    rung = sum(
        rang_after(seen, stream(np.random.default_rng(i), [0.06] * DAYS, 30)) is not None
        for i in range(trials)
    )
    assert stats.binomtest(rung, trials, 0.05, alternative="greater").pvalue > 0.01


def test_graded_losses_with_the_same_mean_raise_no_more() -> None:
    seen, trials = watch(0.06, days=DAYS, alpha=0.05), 200
    rung = 0
    for i in range(trials):
        rng = np.random.default_rng(9000 + i)
        rung += rang_after(seen, [rng.beta(0.6, 9.4, 20) for _ in range(DAYS)]) is not None
    assert stats.binomtest(rung, trials, 0.05, alternative="greater").pvalue > 0.01


def test_a_drop_is_found_within_days() -> None:
    seen = watch(0.06, days=DAYS, alpha=0.05)
    rates = [0.06] * 20 + [0.15] * 60
    found = [
        rang_after(seen, stream(np.random.default_rng(500 + i), rates, 100)) for i in range(40)
    ]
    after = [day - 19 for day in found if day is not None and day >= 20]
    assert len(after) >= 36
    assert np.median(after) <= 5


def test_without_a_bet_evidence_is_the_share_of_days_begun() -> None:
    seen = watch(0.5, days=4, alpha=0.05, ratios={1.5: 1.0})
    state = after_day(seen, begun(seen), [0.5], 0)  # a loss at the null moves nothing
    assert state.evidence == pytest.approx(0.25)
    state = after_day(seen, state, [0.5], 1)
    assert state.evidence == pytest.approx(0.5)


def test_of_zeros_and_ones_an_increment_is_the_log_likelihood_ratio() -> None:
    seen = Watch(0.1, (0.25,), (1.0,), 10, 0.05)
    found = seen.increments(np.array([1.0, 0.0]))[0]
    assert found.tolist() == pytest.approx([math.log(2.5), math.log(0.75 / 0.9)])


def test_a_gap_leaves_the_state_as_it_was() -> None:
    seen = watch(0.06, days=DAYS, alpha=0.05)
    before = after_day(seen, begun(seen), [1.0, 0.0, 1.0], 3)
    assert after_day(seen, before, [], 4) == before


def test_the_state_is_as_large_after_a_thousand_days_as_after_one() -> None:
    seen = watch(0.2, days=30, alpha=0.05)
    state = begun(seen)
    for day in range(1000):
        state = after_day(seen, state, [0.0, 0.0], day)
    assert len(state.log_s) == len(state.run) == len(state.since) == len(seen.alternatives)
    assert state.rounds == 33  # a watch of 30 days began anew so often


def test_a_change_is_dated_near_the_day_on_which_it_began() -> None:
    seen = watch(0.06, days=DAYS, alpha=0.05)
    days = stream(np.random.default_rng(3), [0.03] * 40 + [0.3] * 5, 100)
    state = begun(seen)
    for day, losses in enumerate(days):
        state = after_day(seen, state, losses, day)
    assert state.changed_on == 40


def test_an_alarm_that_rang_stays_rung() -> None:
    seen = watch(0.06, days=DAYS, alpha=0.05)
    state: Watched = begun(seen)
    for day in range(40):
        state = after_day(seen, state, np.ones(50) if day == 0 else np.zeros(50), day)
    assert (state.rings, state.rang_on) == (True, 0)


@pytest.mark.parametrize("null", [0.0, 1.0, float("nan")])
def test_a_null_that_nobody_can_bet_against_is_refused(null: float) -> None:
    with pytest.raises(DataError, match="null"):
        watch(null, days=10, alpha=0.05)


def test_a_loss_outside_its_range_is_refused() -> None:
    seen = watch(0.06, days=DAYS, alpha=0.05)
    with pytest.raises(DataError, match="losses"):
        after_day(seen, begun(seen), [1.5], 0)


@pytest.mark.parametrize(
    ("alternatives", "days"), [((0.05,), 3), ((), 3), ((1.0,), 3), ((0.3,), 0)]
)
def test_a_watch_without_a_sound_alternative_or_a_day_is_refused(
    alternatives: tuple[float, ...], days: int
) -> None:
    with pytest.raises(ValueError, match="alternative"):
        Watch(0.1, alternatives, (1.0,) * len(alternatives), days, 0.05)


def test_what_is_bet_is_at_most_the_whole_chance() -> None:
    with pytest.raises(ValueError, match="weight"):
        Watch(0.1, (0.2, 0.4), (0.8, 0.8), 10, 0.05)
    with pytest.raises(ValueError, match="weight"):
        Watch(0.1, (0.2, 0.4), (1.0,), 10, 0.05)
