"""Confidence, digests, draws, prices, outcomes and log batches."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from stepdown.core.call_columns import Batch, Words
from stepdown.core.confidence import Calibrator, read_signals
from stepdown.core.digest import digest, digest_bytes, draw, seed_from
from stepdown.core.outcome import Outcome, by_query
from stepdown.core.request import Completion, TokenLogprob, Usage
from stepdown.core.task import PLACES, Promise, within
from stepdown.core.tier import Price, Tier
from stepdown.core.usage_log import LoggedCall

SHARES = st.floats(0, 1)


@given(st.floats(0, 20), st.floats(-20, 20), SHARES, SHARES)
def test_a_calibrator_never_turns_the_order_round(a: float, b: float, x: float, y: float) -> None:
    platt = Calibrator("margin", "platt", a, b)
    low, high = (platt.apply({"margin": value}) for value in sorted((x, y)))
    assert low is not None
    assert high is not None
    assert 0 <= low <= high <= 1


@given(st.floats(1e-6, 1 - 1e-6))
def test_the_map_with_slope_one_and_no_offset_changes_nothing(value: float) -> None:
    assert Calibrator("s", "platt").apply({"s": value}) == pytest.approx(value)
    assert Calibrator("s").apply({"s": value}) == value


def test_a_platt_map_is_the_logistic_of_the_stretched_log_odds() -> None:
    # logit(0.9) = ln 9, so the odds are 81 / e and the probability 81 / (81 + e)
    assert Calibrator("s", "platt", 2, -1).apply({"s": 0.9}) == pytest.approx(81 / (81 + math.e))


@pytest.mark.parametrize("signals", [{}, {"s": None}, {"s": math.nan}])
@pytest.mark.parametrize("kind", ["identity", "platt"])
def test_an_unknown_signal_gives_no_confidence(kind: Any, signals: dict[str, Any]) -> None:
    assert Calibrator("s", kind).apply(signals) is None


def test_signals_are_read_from_all_that_a_completion_tells() -> None:
    done = Completion(
        text="a",
        label_probs={"a": 0.25, "b": 0.625, "c": 0.125},
        field_probs={"x": 0.9, "y": 0.4},
        logprobs=(TokenLogprob("t", math.log(0.5)), TokenLogprob("u", math.log(0.125))),
        familiarity=0.7,
    )
    found = read_signals(done)
    assert found["token_mean"] == pytest.approx(0.25)
    told = {"label_prob": 0.625, "margin": 0.375, "field_min": 0.4, "familiarity": 0.7}
    assert {name: found[name] for name in told} == told


def test_a_completion_without_evidence_has_no_signals() -> None:
    assert read_signals(Completion(text="a", logprobs=(), label_probs={}, field_probs={})) == {}


def test_a_single_label_has_its_whole_probability_as_margin() -> None:
    assert read_signals(Completion(text="a", label_probs={"a": 1.0}))["margin"] == 1.0


def test_a_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1}) != digest({"a": 2, "b": 1})
    # SHA-256 of the empty string, FIPS 180-4
    assert digest_bytes(b"") == (
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )


def test_a_seed_has_63_bits_of_the_digest() -> None:
    assert seed_from("sha256:" + "f" * 64) == 2**63 - 1
    assert seed_from(digest("a")) != seed_from(digest("b"))


def test_draws_are_uniform_and_the_same_every_time() -> None:
    draws = [draw(7, f"request-{i}") for i in range(4000)]
    assert draws == [draw(7, f"request-{i}") for i in range(4000)]
    assert all(0 <= value < 1 for value in draws)
    assert stats.kstest(draws, "uniform").pvalue > 0.001
    other = [draw(8, f"request-{i}") for i in range(4000)]
    assert abs(np.corrcoef(draws, other)[0, 1]) < 0.06


def test_a_list_price_counts_fresh_and_cached_input_and_output() -> None:
    price = Price(input_usd_per_mtok=3, output_usd_per_mtok=15, cached_usd_per_mtok=0.3)
    usage = Usage(input_tokens=1000, output_tokens=200, cached_tokens=400)
    # (600 * 3 + 400 * 0.3 + 200 * 15) / 1e6 = (1800 + 120 + 3000) / 1e6
    assert price.cost_usd(usage, None) == pytest.approx(0.00492)


def test_cached_tokens_without_a_price_of_their_own_cost_as_much_as_fresh_ones() -> None:
    price = Price(input_usd_per_mtok=3, output_usd_per_mtok=15)
    usage = Usage(input_tokens=1000, output_tokens=200, cached_tokens=400)
    assert price.cost_usd(usage, 1.0) == pytest.approx(0.006)


def test_hardware_costs_its_share_of_an_hour() -> None:
    assert Price(usd_per_hour=0.36).cost_usd(Usage(), 2.0) == pytest.approx(0.0002)


def test_hardware_and_tokens_are_added() -> None:
    price = Price(usd_per_hour=3.6, input_usd_per_mtok=1, output_usd_per_mtok=1)
    usage = Usage(input_tokens=500, output_tokens=500)
    assert price.cost_usd(usage, 1.0) == pytest.approx(0.002)
    assert price.cost_usd(usage, None) is None


@pytest.mark.parametrize(
    ("price", "usage", "busy_s"),
    [
        (Price(), Usage(input_tokens=1, output_tokens=1), 1.0),
        (Price(usd_per_hour=1), Usage(input_tokens=1, output_tokens=1), None),
        (Price(input_usd_per_mtok=1), Usage(input_tokens=1, output_tokens=1), 1.0),
        (Price(input_usd_per_mtok=1, output_usd_per_mtok=1), Usage(input_tokens=1), 1.0),
        (Price(input_usd_per_mtok=1, output_usd_per_mtok=1), Usage(output_tokens=1), 1.0),
    ],
    ids=["no price", "no time", "half a price", "no output tokens", "no input tokens"],
)
def test_an_unknown_part_makes_the_cost_unknown(
    price: Price, usage: Usage, busy_s: float | None
) -> None:
    assert price.cost_usd(usage, busy_s) is None


def test_a_free_tier_costs_nothing_rather_than_something_unknown() -> None:
    assert Price(usd_per_hour=0.0).cost_usd(Usage(), 5.0) == 0.0


def test_a_tier_names_its_adapter_and_what_it_loads() -> None:
    tier = Tier(name="a", model="recorded:dir/frontier:1.jsonl")
    assert (tier.adapter, tier.target, tier.recorded) == ("recorded", "dir/frontier:1.jsonl", True)


@pytest.mark.parametrize("keys", [{"max_loss": 0}, {"max_loss": 1}, {"delta": 0}, {"delta": 0.5}])
def test_what_cannot_be_promised_is_refused(keys: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must lie between"):
        Promise(**keys)


def test_data_may_travel_as_far_as_its_boundary_and_no_farther() -> None:
    reach = [[within(place, boundary) for place in PLACES] for boundary in PLACES]
    assert reach == [[j <= i for j in range(4)] for i in range(4)]


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"score": 1.1}, "outside 0..1"),
        ({"score": -0.1}, "outside 0..1"),
        ({"score": math.nan}, "outside 0..1"),
        ({"cost_usd": -1.0}, "not a finite amount"),
        ({"cost_usd": math.inf}, "not a finite amount"),
        ({"latency_s": math.nan}, "not a finite amount"),
    ],
)
def test_an_outcome_refuses_what_cannot_be(keys: dict[str, float], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Outcome(query_id="q", tier="a", **keys)


def test_outcomes_are_found_by_query_and_tier_in_the_order_they_came() -> None:
    rows = [Outcome(query_id=q, tier=t) for q, t in (("2", "b"), ("1", "a"), ("2", "a"))]
    found = by_query(rows)
    assert {q: list(tiers) for q, tiers in found.items()} == {"2": ["b", "a"], "1": ["a"]}
    assert list(found) == ["2", "1"]


def test_a_batch_yields_its_rows() -> None:
    batch = Batch(rows=2, columns={"id": ["1", "2"], "model": Words.of(["m", None])}, source="log")
    assert len(batch) == 2
    assert list(batch.calls()) == [
        LoggedCall(id="1", model="m", source="log"),
        LoggedCall(id="2", source="log"),
    ]


def test_a_batch_without_columns_has_no_rows() -> None:
    assert len(Batch()) == 0
    assert list(Batch().calls()) == []


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({"id": ["1"], "modell": ["m"]}, "unknown columns"),
        ({"id": ["1"], "model": []}, "differ in length"),
    ],
)
def test_a_batch_of_columns_that_do_not_fit_is_refused(
    columns: dict[str, list[str]], why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        Batch(rows=1, columns=columns)
