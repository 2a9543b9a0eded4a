"""Derived signals: what they are worth, when they are unknown, and where they may be read."""

import math
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from policy_strategies import TIERS, formulas, known_in, policies_with

from stepdown.core.derived import Derived, Lead, Linear, agreement, raw_inputs, value_of
from stepdown.core.policy import Action, Clause, Policy, Row


def worth(formula: Derived, **known: float | None) -> float | None:
    return value_of("made", {"made": formula}, known.get)


def test_an_unknown_input_counts_as_its_fill() -> None:
    formula = Linear(("x", "y"), (2.0, 10.0), (0.5, 0.25), bias=1.0)
    assert worth(formula, x=3.0, y=1.0) == 17.0
    assert worth(formula, x=3.0, y=None) == 9.5
    assert worth(formula, x=3.0, y=math.nan) == 9.5


def test_with_every_input_unknown_the_value_is_unknown() -> None:
    assert worth(Linear(("x", "y"), (2.0, 10.0), (0.5, 0.25))) is None


def test_without_inputs_the_value_is_the_bias() -> None:
    assert worth(Linear((), (), (), bias=0.25)) == 0.25


@pytest.mark.parametrize("bias", [-1e6, -1.0, 0.0, 1.0, 1e6])
def test_the_logistic_link_stays_between_0_and_1(bias: float) -> None:
    found = worth(Linear((), (), (), bias=bias, link="logistic"))
    assert found is not None
    assert 0 <= found <= 1
    assert found == pytest.approx(0.5 * (1 + math.tanh(bias / 2)))


def test_a_lead_is_over_the_best_known_rival_after_prices() -> None:
    race = Lead("x", ("y", "z"), (0.1, 0.0, 0.4))
    assert worth(race, x=0.9, y=0.5, z=0.8) == pytest.approx(0.3)
    assert worth(race, x=0.9, y=None, z=0.8) == pytest.approx(0.4)
    assert worth(race, x=None, y=0.5, z=0.8) is None
    assert worth(race, x=0.9) is None


@pytest.mark.parametrize(
    ("build", "why"),
    [
        (lambda: Linear(("x",), (), ()), "one weight and one fill"),
        (lambda: Linear(("x",), (math.inf,), (0.0,)), "not finite"),
        (lambda: Linear((), (), (), bias=math.nan), "not finite"),
        (lambda: Lead("x", (), (0.0,)), "at least one rival"),
        (lambda: Lead("x", ("y",), (0.0,)), "one price more"),
        (lambda: Lead("x", ("y",), (0.0, math.nan)), "not finite"),
    ],
)
def test_a_formula_that_makes_no_sense_is_refused(build: object, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        build()  # type: ignore[operator]


def test_signals_derived_from_each_other_in_a_ring_are_refused() -> None:
    ring = {"x": Linear(("y",), (1.0,), (0.0,)), "y": Linear(("x",), (1.0,), (0.0,))}
    with pytest.raises(ValueError, match="derived from itself"):
        list(raw_inputs("x", ring))


def test_a_pair_of_tiers_has_one_name_whichever_comes_first() -> None:
    assert agreement("b", "a") == agreement("a", "b") == "a=b"


SUM = {"sum": Linear(("a.confidence", "b.confidence"), (1.0, 1.0), (0.0, 0.0))}
EARLY: Mapping[str, tuple[tuple[str, ...], Mapping[str, Derived], str]] = {
    "a tier that is not called": (("a",), SUM, "'b.confidence'"),
    "agreement with a tier that is not called": (
        ("a",),
        {"sum": Linear(("a=b",), (1.0,), (0.0,))},
        "'a=b'",
    ),
    "a signal that is not bought": (
        ("a", "b"),
        {"sum": Lead("vote", ("a.confidence",), (0.0, 0.0))},
        "'vote'",
    ),
    "what another formula rests on": (
        ("a",),
        {**SUM, "sum": Lead("draw", ("deep",), (0.0, 0.0)), "deep": Linear(("a=b",), (1,), (0,))},
        "'a=b'",
    ),
}


def reading(state: tuple[str, ...]) -> Policy:
    when = (Clause("sum", 0.5, Action("abstain")),)
    steps = {
        (): Action("call", "a"),
        ("a",): Action("call", "b"),
        ("a", "b"): Action("buy", "vote"),
        ("a", "b", "?vote"): Action("accept", "b"),
    }
    rows = tuple(
        Row(called=called, otherwise=then, when=when if called == state else ())
        for called, then in steps.items()
    )
    return Policy(tiers=("a", "b"), rows=rows)


@pytest.mark.parametrize("name", EARLY)
def test_a_policy_may_not_rest_on(name: str) -> None:
    state, derived, named = EARLY[name]
    with pytest.raises(ValueError, match="too early") as refused:
        reading(state).check_derived(derived)
    assert named in str(refused.value)
    assert str(list(state)) in str(refused.value)


def test_a_policy_may_rest_on_all_that_is_known_in_a_state() -> None:
    derived = {**SUM, "sum": Lead("vote", ("a=b", "draw"), (0.0, 0.0, 0.0))}
    reading(("a", "b", "?vote")).check_derived(derived)


@settings(max_examples=60, deadline=None)
@given(policies_with(formulas()))
def test_a_clause_is_refused_exactly_where_its_inputs_are_not_known(
    made: tuple[Policy, dict[str, Derived]],
) -> None:
    policy, derived = made
    bought = {"vote": Linear(("extra",), (1.0,), (0.0,))}
    for name in {**derived, **bought}:
        for row in policy.rows:
            clause = Clause(name, 0.5, Action("abstain"))
            rows = [
                Row(called=r.called, otherwise=r.otherwise, when=(*r.when, clause))
                if r.called == row.called
                else r
                for r in policy.rows
            ]
            changed = Policy(tiers=TIERS, rows=tuple(rows))
            sold = any(a.kind == "buy" for r in policy.rows for a in r.actions)
            everything = {**derived, **bought}
            known = known_in(row.called, name, everything)
            free = not sold and known_in((*row.called, "?extra"), name, everything)
            if known or free:
                changed.check_derived(everything)
            else:
                with pytest.raises(ValueError, match="too early"):
                    changed.check_derived(everything)
