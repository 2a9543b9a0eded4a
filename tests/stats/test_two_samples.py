"""Whether old and new answers come from one source: right as often as it says."""

import numpy as np
import pytest
from scipy import stats

from stepdown.stats.two_samples import same_source


def likeness(*answers: list[str]) -> list[np.ndarray]:
    return [np.array([[float(a == b) for b in row] for a in row]) for row in answers]


def test_one_prompt_answered_otherwise_once_says_as_much_as_there_are_deals() -> None:
    found = same_source(likeness(["a", "a", "a", "b"]), [3], seed=1)
    assert found.p_value == pytest.approx(1 / 4, abs=0.02)


def test_several_prompts_multiply() -> None:
    found = same_source(likeness(*[["a", "a", "a", "b"]] * 5), [3] * 5, seed=1)
    assert found.p_value == pytest.approx(4.0**-5, abs=0.001)
    assert found.distance == pytest.approx(2.0)


def test_equal_answers_are_no_change_and_the_same_seed_gives_the_same_figures() -> None:
    same = likeness(*[["a"] * 4] * 20)
    assert same_source(same, [3] * 20, seed=1).p_value == 1.0
    assert same_source(same, [3] * 20, seed=1) == same_source(same, [3] * 20, seed=1)


def test_answers_that_never_repeat_say_nothing() -> None:
    found = same_source(likeness(*[["a", "b", "c", "d"]] * 20), [3] * 20, seed=1)
    assert found.p_value == 1.0


@pytest.mark.slow
@pytest.mark.parametrize("doubt", [0.0, 0.1, 0.5])
def test_a_model_that_did_not_change_is_called_changed_no_oftener_than_the_level(
    doubt: float,
) -> None:
    """SYNTHETIC: 20 prompts, 3 answers pinned and 1 new, each unusual with a chance."""
    rng, level, trials = np.random.default_rng(3), 0.01, 800
    met = 0
    for trial in range(trials):
        said = np.where(rng.random((20, 4)) < doubt, rng.integers(1, 4, (20, 4)), 0)
        alike = [(row[:, None] == row[None, :]).astype(float) for row in said]
        met += same_source(alike, [3] * 20, seed=trial, draws=999).p_value <= level
    assert stats.binomtest(met, trials, level, alternative="greater").pvalue > 0.001, met / trials


@pytest.mark.slow
def test_a_model_that_changed_in_six_of_twenty_answers_is_found_in_most_checks() -> None:
    """SYNTHETIC: as above with a chance of 5%; then six prompts get another answer."""
    rng, trials, met = np.random.default_rng(4), 200, 0
    for trial in range(trials):
        said = np.where(rng.random((20, 4)) < 0.05, rng.integers(1, 4, (20, 4)), 0)
        said[:6, 3] = 9
        alike = [(row[:, None] == row[None, :]).astype(float) for row in said]
        met += same_source(alike, [3] * 20, seed=trial, draws=999).p_value <= 0.01
    assert stats.binomtest(met, trials, 0.75, alternative="less").pvalue > 0.001, met / trials
