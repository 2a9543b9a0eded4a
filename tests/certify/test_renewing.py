"""Renewal keeps its promise when traffic has changed: seeded simulation with known true losses."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from populations import TASK, World, certified, flat, rising, terms
from scipy import stats

from stepdown.certify.evidence import Evidence
from stepdown.certify.renewing import Renewed, needed, renew
from stepdown.certify.supply import Sources
from stepdown.core.lock import LockedTask
from stepdown.core.outcome import Outcome
from stepdown.core.task import Promise
from stepdown.errors import DataError

MAX_LOSS, DELTA = 0.05, 0.1
PROMISED = msgspec.structs.replace(TASK, promise=Promise(max_loss=MAX_LOSS, delta=DELTA))
THEN = World(right={"small": rising(0.85, 0.95), "big": flat(0.9)})
NOW_BAD = World(right={"small": flat(0.845), "big": flat(0.9)})  # every policy that keeps loses
NOW_FINE = THEN


def locked_then(n: int = 200) -> tuple[list[Outcome], LockedTask]:
    """Return the rows of last month, and what was locked on them."""
    tune, rows = THEN.draw(n, [1, 1], "t"), THEN.draw(n, [1, 2], "c")
    done = certified(tune, rows, PROMISED, max_loss=MAX_LOSS, delta=DELTA)
    assert done.state == "certified"
    return [*tune, *rows], done.locked


def renewed(old: list[Outcome], was: LockedTask, fresh: list[Outcome], **keys: object) -> Renewed:
    evidence = Evidence(tune=old, certify=fresh, n_train=0, split="months", data={})
    same = bool(keys.pop("same_tiers", True))
    own = terms(looks=was.guarantee.looks, **keys)
    return renew(PROMISED, evidence, own, was, Sources(0), same_tiers=same)


def promised(world: World, done: Renewed) -> tuple[bool, float]:
    """Return whether a promise is made, and what the promised policy truly loses."""
    locked = done.locked
    made = locked.guarantee.state == "certified"
    return made, world.true_loss(locked.policy, locked.confidence, derived=locked.signals)


def test_the_policy_in_force_is_renewed_where_traffic_stayed_the_same() -> None:
    old, was = locked_then()
    done = renewed(old, was, NOW_FINE.draw(300, [2, 1], "f"))
    assert done.held
    assert done.state == "certified"
    assert not done.changed
    assert done.locked.policy == was.policy
    assert done.locked.guarantee.delta == pytest.approx(DELTA)


def test_a_promise_on_changed_traffic_breaks_no_more_often_than_delta() -> None:
    old, was = locked_then()
    broken = naive = 0
    for seed in range(40):
        fresh = NOW_BAD.draw(150, [3, seed], "f")
        done = renewed(old, was, fresh)
        made, loss = promised(NOW_BAD, done)
        broken += made and loss > MAX_LOSS + 1e-4
        gaps = done.table.score["big"] - done.done.score
        naive += float(gaps.mean()) <= MAX_LOSS  # the rule that people use: looks fine this month
    assert stats.binomtest(broken, 40, DELTA, alternative="greater").pvalue > 0.01
    assert stats.binomtest(naive, 40, DELTA, alternative="greater").pvalue < 0.01, "must be able"


@pytest.mark.slow
@pytest.mark.parametrize("n", [100, 300])
def test_a_promise_on_changed_traffic_holds_in_a_larger_study(n: int) -> None:
    old, was = locked_then()
    broken = 0
    for seed in range(300):
        made, loss = promised(NOW_BAD, renewed(old, was, NOW_BAD.draw(n, [4, n, seed], "f")))
        broken += made and loss > MAX_LOSS + 1e-4
    assert stats.binomtest(broken, 300, DELTA, alternative="greater").pvalue > 0.01 / 2


def test_one_look_is_recorded_and_the_same_renewal_is_the_same_look() -> None:
    old, was = locked_then()
    fresh = NOW_FINE.draw(300, [2, 1], "f")
    first = renewed(old, was, fresh)
    assert len(first.locked.guarantee.looks) == len(was.guarantee.looks) + 1
    kept = msgspec.structs.replace(
        was, guarantee=msgspec.structs.replace(was.guarantee, looks=first.locked.guarantee.looks)
    )
    assert renewed(old, kept, fresh).locked == first.locked


def test_fresh_rows_that_tested_something_else_are_refused() -> None:
    old, was = locked_then()
    fresh = NOW_FINE.draw(300, [2, 1], "f")
    first = renewed(old, was, fresh)
    kept = msgspec.structs.replace(
        was, guarantee=msgspec.structs.replace(was.guarantee, looks=first.locked.guarantee.looks)
    )
    some = [one for one in fresh if int(one.query_id[1:]) < 200]
    with pytest.raises(DataError, match="already looked at"):
        renewed(old, kept, some)


def test_a_policy_whose_tier_changed_is_not_renewed_by_its_name() -> None:
    old, was = locked_then()
    done = renewed(old, was, NOW_FINE.draw(300, [2, 1], "f"), same_tiers=False)
    assert not done.held
    assert done.locked == done.other.locked


def test_fewer_rows_are_needed_the_more_room_the_promise_leaves() -> None:
    old, was = locked_then()
    evidence = Evidence(tune=old, certify=old, n_train=0, split="months", data={})
    wide = msgspec.structs.replace(PROMISED, promise=Promise(max_loss=0.1, delta=DELTA))
    strict = needed(PROMISED, evidence, terms(), was, Sources(0))
    loose = needed(wide, evidence, terms(), was, Sources(0))
    assert strict is not None
    assert loose is not None
    assert loose < strict


def test_rows_where_the_policy_in_force_loses_too_much_name_no_number() -> None:
    _, was = locked_then()
    bad = World(right={"small": flat(0.6), "big": flat(0.95)}).draw(200, [5, 1], "b")
    evidence = Evidence(tune=bad, certify=bad, n_train=0, split="months", data={})
    kept = was.kept
    assert kept.get("big", 0.0) < np.float64(0.9)
    assert needed(PROMISED, evidence, terms(), was, Sources(0)) is None
