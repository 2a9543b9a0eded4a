"""The verdict: one word, a reason, and the figures it rests on."""

import msgspec
import numpy as np
from labelled import TASK, Labelled, even, on, promised
from populations import TASK as INTENT
from populations import World, certified, flat, rising

from stepdown.certify.evidence import Certified
from stepdown.certify.verdict import Verdict, verdict
from stepdown.core.replay_array import Panel
from stepdown.core.task import Promise


def judged(world: World, n: int = 400, max_loss: float = 0.05) -> Verdict:
    return verdict(certified(world.draw(n, [1], "t"), world.draw(n, [2], "c"), max_loss=max_loss))


def test_a_certified_policy_that_beats_a_random_mix_is_routed() -> None:
    found = judged(World(right={"small": rising(0.3, 1.0), "big": flat(0.95)}), 600)
    assert found.kind == "route"
    assert found.figures["kept"] > 0.1
    assert found.figures["gain_over_hull"] > 0
    assert "need no ceiling" in found.reason


def test_a_signal_that_tells_nothing_is_no_reason_to_route() -> None:
    found = judged(World(right={"small": flat(0.5), "big": flat(0.95)}), 400, 0.01)
    assert found.kind == "do_not_route"
    assert "random mix" in found.reason
    assert found.figures["gain_over_hull_low"] <= 0


def test_a_ceiling_that_a_small_tier_beats_is_asked_about() -> None:
    found = judged(World(right={"small": flat(0.95), "big": flat(0.6)}))
    assert found.kind == "change_tiers"
    assert "is that the ceiling you want?" in found.reason
    assert found.figures["gain_over_ceiling"] > 0.25


def test_too_few_rows_ask_for_labels_by_number() -> None:
    found = verdict(promised(even(0.97, 0.97), Promise(floor=0.95), 30, n_tune=500))
    assert found.kind == "label_more"
    assert found.figures["more"] == found.figures["needed"] - 30
    assert f"about {found.figures['more']:.0f} more" in found.reason


def test_thresholds_set_by_hand_are_declared() -> None:
    task = msgspec.structs.replace(TASK, thresholds={"small": 0.5})
    assert verdict(promised(even(0.9, 0.9), Promise(), task=task)).kind == "declared"


def trained(done: Certified, rows: int) -> Certified:
    stated = msgspec.structs.replace(done.locked.guarantee, n_train=rows)
    return msgspec.structs.replace(
        done, locked=msgspec.structs.replace(done.locked, guarantee=stated)
    )


def test_a_small_tier_far_behind_with_rows_to_train_on_is_to_be_fine_tuned() -> None:
    done = promised(even(0.6, 0.95), Promise(max_loss=0.02), 300)
    found = verdict(trained(done, 1000))
    assert (found.kind, verdict(trained(done, 10)).kind) == ("fine_tune", "do_not_route")
    assert "1000 rows are there to train it on" in found.reason


def test_a_dearer_tier_that_a_cheaper_one_beats_is_to_be_dropped() -> None:
    three = msgspec.structs.replace(INTENT, tiers=("small", "middle", "big"))
    world = World(right={"small": flat(0.7), "middle": flat(0.4), "big": flat(1.0)})
    rows = world.draw(300, [1], "t"), world.draw(300, [2], "c")
    found = verdict(certified(*rows, three, max_loss=0.01))
    assert (found.kind, "drop 'middle'" in found.reason) == ("change_tiers", True)


def test_a_policy_that_learned_something_but_may_not_serve_leaves_the_ceiling() -> None:
    told = Labelled({"small": {"": 0.8}, "big": {"": 0.9}})

    def drawn(n: int, part: str) -> Panel:
        table = told.draw(n, [n], part)
        rng = np.random.default_rng(n)
        sure = np.clip(0.15 + 0.6 * table.score["small"] + rng.normal(0, 0.05, n), 0, 1)
        return msgspec.structs.replace(table, signals={"small.label_prob": sure})

    done = on(drawn(300, "t"), drawn(301, "c"), Promise(floor=0.999))
    found = verdict(done)
    assert (done.state, found.kind) == ("ceiling", "do_not_route")
    assert found.figures["gain_over_hull_low"] > 0
    assert "does not keep floor" in found.reason
