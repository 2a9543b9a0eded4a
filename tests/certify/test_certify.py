"""What certification says of good, bad, few, missing and odd data."""

import math
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import pytest
from populations import PRICES, TASK, World, certified, flat, rising

from stepdown.certify.evidence import Certified
from stepdown.certify.figures import loss_estimate, mean_estimate
from stepdown.core.lock import Lock, lock_from_plain, lock_to_plain
from stepdown.core.outcome import Outcome
from stepdown.core.policy import confidence_of, to_plain
from stepdown.core.task import Task
from stepdown.errors import DataError

GOOD = World(right={"small": rising(0.9, 1.0), "big": flat(0.9)})
BAD = World(right={"small": flat(0.3), "big": flat(0.95)})


def run(world: World, n: int = 150, task: Task = TASK, **keys: Any) -> Certified:
    return certified(world.draw(n, [1], "t"), world.draw(n, [2], "c"), task, **keys)


def changed(rows: list[Outcome], tier: str, **keys: Any) -> list[Outcome]:
    return [msgspec.structs.replace(o, **keys) if o.tier == tier else o for o in rows]


def with_world(change: Mapping[str, Any], tier: str = "small", n: int = 60) -> Certified:
    """Certify the good world after a change of every outcome of one tier."""
    parts = (GOOD.draw(n, [1], "t"), GOOD.draw(n, [2], "c"))
    return certified(*(changed(part, tier, **change) for part in parts))


def test_an_obviously_good_small_tier_is_certified() -> None:
    done = run(GOOD)
    stated = done.locked.guarantee
    assert (done.state, stated.level, stated.delta) == ("certified", 0.05, 0.1)
    assert done.locked.kept == {"small": 1.0}
    assert stated.bound is not None
    assert stated.bound <= 0.05
    assert (stated.n_tune, stated.n_certify, stated.labels_needed) == (150, 150, None)
    assert stated.date == "2026-11-22"
    assert stated.review_by == "2027-02-20"
    assert done.locked.policy.tiers == ("small", "big")


def test_too_few_rows_lock_the_ceiling_and_say_how_many_would_decide() -> None:
    done = run(World(right={"small": flat(1.0), "big": flat(1.0)}), 20)
    stated = done.locked.guarantee
    assert (done.state, done.chosen, stated.bound) == ("ceiling", 0, 0.0)
    assert stated.labels_needed is not None
    assert stated.labels_needed > 20
    assert done.locked.kept == {"big": 1.0}
    assert stated.loss is not None
    assert stated.loss.value == 0


def test_fewer_than_ten_rows_are_refused() -> None:
    with pytest.raises(DataError, match="has 9 tune and 9 certify rows"):
        run(GOOD, 9)


def test_where_no_policy_is_good_enough_no_number_of_labels_is_promised() -> None:
    done = with_world({"signals": {}, "score": 0.0})
    assert (done.state, done.locked.kept) == ("ceiling", {"big": 1.0})
    assert done.locked.guarantee.labels_needed is None
    assert done.tested is not None


def test_the_same_input_gives_the_same_lock() -> None:
    assert to_plain(run(GOOD, 60).locked) == to_plain(run(GOOD, 60).locked)


def test_the_lock_can_be_written_and_read_again() -> None:
    lock = Lock(version=1, generator="t", project="p", tasks={"intent": run(GOOD, 60).locked})
    assert lock_from_plain(lock_to_plain(lock)) == lock


def test_a_second_test_of_something_else_on_the_same_rows_is_refused() -> None:
    looks = run(GOOD, 60).locked.guarantee.looks
    with pytest.raises(DataError, match="already looked at on 2026-11-22"):
        run(GOOD, 60, max_loss=0.1, looks=looks)


def test_a_second_test_that_was_asked_for_states_the_added_chance_of_error() -> None:
    looks = run(GOOD, 60).locked.guarantee.looks
    done = run(GOOD, 60, max_loss=0.1, looks=looks, allow_relook=True)
    assert len(done.locked.guarantee.looks) == 2
    assert done.locked.guarantee.delta == pytest.approx(0.2)


def test_the_same_test_on_the_same_rows_is_the_same_look() -> None:
    first = run(GOOD, 60)
    again = run(GOOD, 60, looks=first.locked.guarantee.looks)
    assert again.locked == first.locked
    assert len(again.locked.guarantee.looks) == 1


def test_fresh_rows_may_be_tested_without_adding_to_the_chance_of_error() -> None:
    looks = run(GOOD, 60).locked.guarantee.looks
    fresh = certified(GOOD.draw(60, [1], "t"), GOOD.draw(60, [3], "new"), looks=looks)
    assert len(fresh.locked.guarantee.looks) == 2
    assert fresh.locked.guarantee.delta == pytest.approx(0.1)


def test_thresholds_set_by_hand_are_declared_and_nothing_is_tested() -> None:
    task = msgspec.structs.replace(TASK, thresholds={"small": 0.4})
    done = run(GOOD, 60, task)
    stated = done.locked.guarantee
    assert (done.state, stated.promise, stated.bound) == ("declared", "none", None)
    assert [(look.tested, look.delta) for look in stated.looks] == [("shown", 0.0)]
    assert done.tested is None
    (clause,) = done.locked.policy.by_state["small",].when
    assert (clause.signal, clause.at_least) == (confidence_of("small"), 0.4)


def without(rows: list[Outcome], tier: str) -> list[Outcome]:
    return [o for o in rows if o.tier != tier]


def test_a_ceiling_without_outcomes_is_an_error_that_says_what_to_do() -> None:
    rows = GOOD.draw(40, [1])
    with pytest.raises(DataError, match="has no scored outcome") as caught:
        certified(without(rows, "big"), without(rows, "big"))
    assert "stepdown eval intent" in caught.value.hint


def test_a_ceiling_without_outcomes_lets_a_declared_fallback_serve() -> None:
    task = msgspec.structs.replace(TASK, fallback="small")
    rows = without(GOOD.draw(40, [1]), "big")
    done = certified(rows, rows, task)
    stated = done.locked.guarantee
    assert (done.state, stated.promise, stated.n_certify) == ("declared", "none", 0)
    assert done.locked.kept == {"small": 1.0}
    assert done.locked.policy.ceiling == "big"


def test_a_ceiling_that_is_down_counts_as_one_without_outcomes() -> None:
    with pytest.raises(DataError, match="has no scored outcome"):
        with_world({"failure": "unavailable"}, "big")


def test_rows_without_a_score_of_the_ceiling_are_dropped_and_counted() -> None:
    tune, rows = GOOD.draw(60, [1], "t"), GOOD.draw(60, [2], "c")
    gone = {f"c{i}" for i in range(7)}
    part = [o for o in rows if o.tier == "small" or o.query_id not in gone]
    done = certified(tune, part)
    assert (done.dropped, done.locked.guarantee.n_certify) == (7, 53)


def test_unknown_costs_order_the_path_by_what_the_ceiling_is_spared() -> None:
    world = World(right=BAD.right | {"small": rising(0.3, 1.0)}, price={"big": 1.0})
    done = run(world, 60)
    kept = [one.kept for one in done.along]
    assert len(kept) > 2
    assert kept == sorted(kept)
    assert kept[0] == 0
    assert all(one.cost_usd is None for one in done.along[1:])


def test_a_tier_that_misses_some_rows_is_helped_out_by_the_ceiling() -> None:
    tune, rows = GOOD.draw(150, [1], "t"), GOOD.draw(150, [2], "c")
    gone = {f"{part}{i}" for part in "tc" for i in range(0, 150, 3)}
    cut = [[o for o in p if o.tier == "big" or o.query_id not in gone] for p in (tune, rows)]
    done = certified(*cut)
    assert done.locked.kept["big"] >= 1 / 3
    assert sum(done.locked.kept.values()) == pytest.approx(1)


THREE = msgspec.structs.replace(TASK, tiers=("small", "middle", "big"))


def test_a_tier_that_nobody_ran_is_left_out() -> None:
    done = run(GOOD, 60, THREE)
    assert set(done.locked.policy.tiers) == set(THREE.tiers)
    assert all("middle" not in called for one in done.found for called in one.policy.by_state)


def test_a_tier_without_outcomes_on_the_certify_rows_leaves_the_guarantee_with_the_ceiling() -> (
    None
):
    world = World(right=GOOD.right | {"middle": rising(0.9, 1.0)})
    rows = without(world.draw(60, [2], "c"), "middle")
    done = certified(world.draw(60, [1], "t"), rows, THREE)
    assert "middle" not in done.locked.kept


def test_three_tiers_are_ordered_by_their_score_with_the_ceiling_last() -> None:
    world = World(right={"small": flat(0.9), "middle": flat(0.4), "big": flat(0.7)})
    done = run(world, 40, THREE)
    assert done.locked.policy.tiers == ("middle", "small", "big")


def test_tiers_that_are_always_right_cost_nothing_to_step_down() -> None:
    done = run(World(right={"small": flat(1.0), "big": flat(1.0)}), 100)
    assert (done.state, done.locked.kept) == ("certified", {"small": 1.0})
    assert done.locked.guarantee.labels_used == 0


def test_a_tier_that_is_always_wrong_is_never_kept() -> None:
    done = run(World(right={"small": flat(0.0), "big": flat(1.0)}), 60)
    assert (done.state, done.locked.kept) == ("ceiling", {"big": 1.0})


def test_a_ceiling_that_is_worse_than_the_small_tier_is_stepped_down_from() -> None:
    done = run(World(right={"small": flat(0.95), "big": flat(0.6)}), 60)
    loss = done.locked.guarantee.loss
    assert loss is not None
    assert loss.value is not None
    assert (done.state, loss.value < 0) == ("certified", True)


@pytest.mark.parametrize("signals", [{"label_prob": 0.5}, {"label_prob": None}, {}])
def test_a_signal_that_tells_nothing_leaves_all_or_nothing(signals: dict[str, Any]) -> None:
    done = with_world({"signals": signals})
    assert {one.kept for one in done.found} <= {0.0, 1.0}
    assert done.state in {"certified", "ceiling"}


def test_a_failed_answer_is_never_kept() -> None:
    done = with_world({"failure": "invalid_output", "score": 0.0})
    assert (done.state, done.locked.kept) == ("ceiling", {"big": 1.0})


def test_a_tier_that_takes_seconds_and_costs_dollars_can_be_certified() -> None:
    price = {name: 40 * (cost or 0) for name, cost in PRICES.items()}
    done = run(World(right=BAD.right, price=price), 60)
    assert done.locked.expected["cost_usd"].value == pytest.approx(40)
    assert done.locked.expected["latency_s"].value == pytest.approx(2.0)
    assert done.locked.expected["baseline_usd"].value == pytest.approx(40)


def test_an_unknown_latency_is_unknown_and_counted() -> None:
    done = with_world({"latency_s": None}, "small", 150)
    figure = done.locked.expected["latency_s"]
    assert (figure.value, figure.n, figure.unknown) == (None, 0, 150)


def test_the_mean_of_amounts_has_an_interval_around_it_that_scales_with_the_unit() -> None:
    values = np.random.default_rng(1).exponential(3.0, 200)
    small, large = mean_estimate(values / 1e9, "usd"), mean_estimate(values * 1e3, "usd")
    assert small.low is not None
    assert small.high is not None
    assert small.low < float(values.mean()) / 1e9 < small.high
    assert large.low == pytest.approx(small.low * 1e12, rel=0.02)  # the seeds differ


def test_the_mean_of_equal_amounts_has_no_interval_but_that_of_equal_scores_has() -> None:
    assert mean_estimate(np.full(50, 2.0), "s").high is None
    high = mean_estimate(np.full(50, 1.0), "score")
    assert (high.value, high.high) == (1.0, 1.0)
    assert high.low is not None
    assert high.low < 1


def test_one_known_amount_among_unknown_ones_is_counted() -> None:
    found = mean_estimate(np.array([math.nan, 3.0, math.nan]), "usd")
    assert (found.value, found.n, found.unknown, found.low) == (3.0, 1, 2, None)


def test_a_loss_is_positive_where_the_ceiling_is_better() -> None:
    found = loss_estimate(np.array([0.0, 1.0] * 20), np.ones(40))
    assert found.value == 0.5
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0.5 < found.high


def copied(world: World, groups: int, copies: int) -> list[Outcome]:
    """Every row several times, as near-duplicates of one group."""
    return [
        msgspec.structs.replace(o, query_id=f"{o.query_id}/{copy}", group=o.query_id)
        for o in world.draw(groups, [2], "c")
        for copy in range(copies)
    ]


def test_copies_of_rows_do_not_make_up_for_rows() -> None:
    world = World(right={"small": flat(1.0), "big": flat(1.0)})
    tune, rows = world.draw(60, [1], "t"), copied(world, 20, 10)
    done = certified(tune, rows)
    assert (done.state, done.locked.guarantee.groups) == ("ceiling", 20)
    assert done.tested is not None
    assert "One row of each group" in done.tested.assumptions
    alone = [msgspec.structs.replace(o, group=None) for o in rows]
    assert certified(tune, alone).state == "certified"


def test_thresholds_set_by_hand_keep_the_polish_that_the_task_asks_for() -> None:
    task = msgspec.structs.replace(
        TASK, thresholds={"small": 0.5}, customer_facing=True, finish="always"
    )
    done = run(GOOD, task=task)
    kinds = {a.kind for row in done.locked.policy.rows for a in row.actions}
    assert "polish" in kinds
    assert "polished by big" in " ".join(done.locked.guarantee.assumptions)
