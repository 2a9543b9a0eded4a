"""Does what `certify_task` promises hold? Seeded simulation with known true losses."""

import numpy as np
import pytest
from populations import TASK, Floats, World, certified, flat, rising
from scipy import stats

from stepdown.certify.evidence import Certified
from stepdown.core.replay_array import replay_array
from stepdown.core.task import Task

MAX_LOSS, DELTA = 0.05, 0.1
GRADED = Task(name="draft", kind="draft", tiers=("small", "big"))


def sure_but_wrong(signal: Floats) -> Floats:
    """Wrong where it is surest: every policy that keeps an eighth of the rows loses 0.06."""
    return np.where(signal > 0.88, 0.4, 0.9)


WORLDS = {
    "just too bad": World(right={"small": flat(0.845), "big": flat(0.9)}),
    "sure but wrong": World(right={"small": sure_but_wrong, "big": flat(0.9)}),
    "fair": World(right={"small": rising(0.7, 0.9), "big": flat(0.9)}),
}


def trial(world: World, task: Task, n: int, seed: int) -> Certified:
    tune, rows = world.draw(n, [seed, 1], "t"), world.draw(n, [seed, 2], "c")
    return certified(tune, rows, task, max_loss=MAX_LOSS, delta=DELTA)


def breaks(world: World, done: Certified, place: int) -> bool:
    """Tell whether the policy at a place of the path really loses more than was promised."""
    one, maps = done.along[place], done.locked.confidence
    return world.true_loss(one.policy, maps, derived=one.derived) > MAX_LOSS + 1e-4


def best_looking(done: Certified) -> int:
    """The rule that people use: the cheapest policy whose loss on these rows looks fine."""
    table = done.certify_table
    gaps = [replay_array(one.policy, table).score - table.score["big"] for one in done.along]
    return max(place for place, gap in enumerate(gaps) if -gap.mean() <= MAX_LOSS)


def judge(violations: int, trials: int) -> float:
    """Return the p-value of "the promise breaks no more often than delta"."""
    return float(stats.binomtest(violations, trials, DELTA, alternative="greater").pvalue)


def study(name: str, task: Task, n: int, trials: int) -> tuple[int, int]:
    """Return how often the certified policy, and the best-looking one, break the promise."""
    world, held, naive = WORLDS[name], 0, 0
    for seed in range(trials):
        done = trial(world, task, n, seed)
        held += breaks(world, done, done.chosen)
        naive += breaks(world, done, best_looking(done))
    return held, naive


@pytest.mark.parametrize(("task", "n", "trials"), [(TASK, 80, 30), (GRADED, 100, 30)])
def test_the_promise_breaks_no_more_often_than_delta(task: Task, n: int, trials: int) -> None:
    held, naive = study("just too bad", task, n, trials)
    assert judge(held, trials) > 0.01
    assert judge(naive, trials) < 0.01, "the judge must be able to fail"


def test_a_tier_that_is_sure_but_wrong_does_not_slip_through() -> None:
    held, _ = study("sure but wrong", GRADED, 120, 40)
    assert judge(held, 40) > 0.01


@pytest.mark.slow
@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.parametrize(("task", "n"), [(TASK, 60), (TASK, 120), (GRADED, 200)])
def test_the_promise_holds_in_a_larger_study(name: str, task: Task, n: int) -> None:
    held, _ = study(name, task, n, 120)
    assert judge(held, 120) > 0.01 / 9  # Bonferroni over the nine cells


def test_the_true_loss_of_a_population_is_what_arithmetic_says() -> None:
    world = WORLDS["just too bad"]
    done = trial(world, TASK, 60, 0)
    cheapest = done.found[0].policy  # the small tier alone
    assert world.true_loss(cheapest, {}) == pytest.approx(0.055, abs=1e-6)
    assert world.true_loss(done.along[0].policy, {}) == 0
