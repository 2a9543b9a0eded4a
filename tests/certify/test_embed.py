"""Vectors of two models never mix: a policy for an embed task is one tier, without a fallback."""

from __future__ import annotations

from msgspec.structs import replace
from populations import TASK, World, certified, flat, rising

from stepdown.core.decide import Observation, decide

EMBED = replace(TASK, kind="embed")
GOOD = World(right={"small": flat(0.95), "big": flat(0.95)})
WEAK = World(right={"small": rising(0.2, 0.9), "big": flat(0.95)})


def policy_of(world: World) -> object:
    rows = world.draw(200, [1], "t"), world.draw(200, [2], "c")
    return certified(*rows, EMBED).locked.policy


def test_a_good_smaller_tier_answers_alone_and_nobody_steps_in() -> None:
    policy = policy_of(GOOD)
    assert policy.tiers == ("small",)  # type: ignore[attr-defined]
    gone = Observation(called=(), signals={}, unavailable={"small": "down"})
    assert decide(policy, gone).action.kind == "abstain"  # type: ignore[arg-type]


def test_where_a_smaller_tier_is_not_good_enough_the_ceiling_answers_alone() -> None:
    policy = policy_of(WEAK)
    assert policy.tiers == ("big",)  # type: ignore[attr-defined]
    assert {row.called for row in policy.rows} == {(), ("big",)}  # type: ignore[attr-defined]
