"""Route or not: the static hull is always offered, and gains are counted on unseen rows."""

from collections.abc import Sequence

import numpy as np
import pytest

from stepdown.certify.routing import (
    Candidate,
    fit_routing,
    routed_candidates,
    routing_candidates,
    units,
    worth_routing,
)
from stepdown.certify.states import SIZE, later, states
from stepdown.core.outcome import Outcome, by_query
from stepdown.core.replay import replay
from stepdown.core.replay_array import Panel, panel, replay_array

ORDER = ("small", "middle", "big")
PRICES = {"small": 0.01, "middle": 0.1, "big": 1.0}


def _outcomes(
    n: int, seed: int, telling: float = 1.0, prices: dict[str, float | None] | None = None
) -> list[Outcome]:
    """Queries of two kinds: the small tier answers one as well as the big one, and its hint says
    so (`telling` 1) or nothing (0). Answers that are right are equal; wrong ones mostly are not.
    """
    rng = np.random.default_rng(seed)
    found = []
    for i in range(n):
        easy = rng.random() < 0.6
        hint = telling * (1.0 if easy else -1.0) + rng.normal()
        for tier, chance in zip(ORDER, (0.9, 0.92, 0.95) if easy else (0.2, 0.5, 0.9), strict=True):
            right = rng.random() < chance
            found.append(
                Outcome(
                    query_id=f"q{i}",
                    tier=tier,
                    score=float(right),
                    cost_usd=(prices or PRICES)[tier],
                    answer="yes" if right else f"no {rng.integers(4)}",
                    signals={"hint": hint} if tier == "small" and telling else {},
                )
            )
    return found


def _rows(n: int, seed: int, telling: float = 1.0) -> Panel:
    return panel(_outcomes(n, seed, telling))


def _static_score(one: Candidate, offered: Sequence[Candidate]) -> float:
    """The score of the static hull at the price of a candidate."""
    at = sorted((c.price, c.score) for c in offered if c.kind == "static")
    return float(np.interp(one.price, [p for p, _ in at], [s for _, s in at]))


def test_routing_that_pays_is_found_and_holds_on_fresh_rows() -> None:
    offered = list(routing_candidates(_rows(400, 1), ORDER, "big", seed=0))
    fresh = units(_rows(2000, 2), ORDER, "big")
    routed = [one for one in offered if one.kind == "routed"]
    done = [replay_array(one.policy, fresh, one.derived) for one in routed]
    scores = {tier: fresh.score[tier].mean() for tier in ORDER}
    costs = {tier: fresh.cost_usd[tier].mean() for tier in ORDER}
    line = np.interp(
        [d.cost_usd.mean() for d in done], [costs[t] for t in ORDER], [scores[t] for t in ORDER]
    )
    assert np.mean([d.score.mean() for d in done] - line) > 0.01


def test_what_is_expected_of_a_candidate_is_about_what_comes_of_it() -> None:
    offered = list(routing_candidates(_rows(600, 3), ORDER, "big", seed=0))
    fresh = units(_rows(2000, 4), ORDER, "big")
    misses = [
        one.score - replay_array(one.policy, fresh, one.derived).score.mean()
        for one in offered
        if one.kind == "routed"
    ]
    assert abs(np.mean(misses)) < 0.03


def test_the_static_hull_is_offered_whatever_the_verdict() -> None:
    for telling in (0.0, 1.0):
        offered = list(routing_candidates(_rows(200, 5, telling), ORDER, "big", seed=0))
        alone = {c.policy.by_state[()].otherwise.target for c in offered if c.kind == "static"}
        assert {"small", "big"} <= alone


def test_without_a_signal_or_answers_nothing_is_routed() -> None:
    blind = panel(
        Outcome(query_id=o.query_id, tier=o.tier, score=o.score, cost_usd=o.cost_usd)
        for o in _outcomes(300, 6)
    )
    verdict = worth_routing(blind, ORDER, "big")
    assert not verdict.route
    kinds = {one.kind for one in routing_candidates(blind, ORDER, "big")}
    assert kinds == {"static"}


def test_a_ceiling_worse_than_the_small_tier_leaves_no_choice() -> None:
    rows = _rows(200, 7)
    rows.score["big"][:] = 0.0
    rows.score["middle"][:] = 0.0
    verdict = worth_routing(rows, ORDER, "big")
    assert not verdict.route
    assert "no choice" in verdict.why
    assert [
        c.policy.by_state[()].otherwise.target for c in routing_candidates(rows, ORDER, "big")
    ] == ["small"]


def test_too_few_rows_say_how_many_are_needed() -> None:
    verdict = worth_routing(_rows(10, 8), ORDER, "big")
    assert not verdict.route
    assert verdict.gain is None
    assert "10 rows" in verdict.why


def test_without_rows_only_the_ceiling_is_offered_and_its_score_is_unknown() -> None:
    none = _rows(30, 8).take(np.array([], dtype=np.intp))
    offered = list(routing_candidates(none, ORDER, "big"))
    assert [(one.policy.by_state[()].otherwise.target, one.score) for one in offered] == [
        ("big", None)
    ]


def test_where_a_cost_is_unknown_the_share_of_ceiling_calls_is_the_price() -> None:
    rows = panel(_outcomes(300, 9, prices={"small": 0.01, "middle": None, "big": 1.0}))
    offered = list(routing_candidates(rows, ORDER, "big", gated=False))
    for one in offered:
        done = replay_array(one.policy, units(rows, ORDER, "big"), one.derived)
        asked = done.called_tier("big")
        assert done.cost_usd == pytest.approx(asked.astype(float))


def test_scalar_and_array_replay_agree_on_every_candidate() -> None:
    tune, fresh = _rows(200, 10), _outcomes(60, 11)
    table, rows = units(panel(fresh), ORDER, "big"), by_query(fresh)
    for one in routing_candidates(tune, ORDER, "big", gated=False):
        if one.kind == "static":
            continue
        done = replay_array(one.policy, table, one.derived)
        for place, outcomes in enumerate(rows.values()):
            alone = replay(one.policy, outcomes, {}, one.derived)
            assert alone.answer == done.answer[place]
            assert alone.called == done.called[place]


def test_every_table_reads_only_what_is_known_in_its_states() -> None:
    for one in routing_candidates(_rows(200, 12), ORDER, "big", gated=False):
        one.policy.check_derived(one.derived)
        assert one.policy.tiers == ORDER


def test_rows_that_a_tier_did_not_answer_are_left_out_of_the_fit() -> None:
    outcomes = [o for o in _outcomes(200, 13) if o.query_id != "q7" or o.tier != "middle"]
    assert fit_routing(panel(outcomes), ORDER, "big").known.panel.n == 199


def test_the_same_rows_and_seed_give_the_same_policies() -> None:
    first, second = (
        list(routing_candidates(_rows(150, 14), ORDER, "big", seed=3)) for _ in range(2)
    )
    assert first == second


def test_a_long_prompt_that_costs_more_is_worth_less_to_a_dear_tier() -> None:
    rng = np.random.default_rng(15)
    outcomes = []
    for i in range(400):
        long = rng.random() < 0.3
        for tier, chance in (("small", 0.6), ("big", 0.9)):
            price = PRICES[tier] * (5 if long else 1)
            outcomes.append(
                Outcome(
                    query_id=f"q{i}",
                    tier=tier,
                    score=float(rng.random() < chance),
                    cost_usd=price,
                    prompt="word " * (50 if long else 10),
                )
            )
    fitted = fit_routing(panel(outcomes), ("small", "big"), "big")
    table = units(panel(outcomes), ("small", "big"), "big")
    long = table.signals[SIZE] > 100
    asked = [
        replay_array(one.policy, table, one.derived).called_tier("big")
        for one in routed_candidates(fitted, ("small", "big"))
    ]
    assert any(a[~long].mean() > 0.9 and a[long].mean() < 0.1 for a in asked)


def test_states_are_the_tiers_called_in_order_and_only_stronger_ones_are_left() -> None:
    assert len(states(ORDER)) == 8
    assert states(ORDER)[-1] == ()
    assert later(("small",), ORDER) == ("middle", "big")
    assert later((), ORDER) == ORDER


def _noise(n: int, seed: int) -> Panel:
    """Rows whose only signal has nothing to do with the score."""
    return panel(
        Outcome(
            query_id=o.query_id,
            tier=o.tier,
            score=o.score,
            cost_usd=o.cost_usd,
            signals={"noise": float(i % 17)},
        )
        for i, o in enumerate(_outcomes(n, seed))
    )


def test_noise_is_seldom_taken_for_something_to_route_by() -> None:
    routed = [worth_routing(_noise(60, seed), ORDER, "big").route for seed in range(12)]
    assert sum(routed) <= 4  # each errs at most one time in ten; 5 of 12 would be 1 in 230
