"""What is known in each state of a cascade-router: estimates for every answer called and every
tier still to call, from rows that the estimate did not see.

A state is the tiers called so far, in the order of strength, so that k tiers have 2**k - 1 of
them. It decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from msgspec import Struct

from stepdown.certify.fitting import (
    Design,
    Fitted,
    Floats,
    Ints,
    Ridge,
    design,
    expit,
    fit_logistic,
    fit_ridge,
)
from stepdown.certify.verifier import Verifier, evidence_of, fit_verifier, own_signals
from stepdown.core.derived import SIZE, TRIAGE, Derived, Linear, agreement
from stepdown.core.replay_array import Panel

State = tuple[str, ...]
MOST_TIERS = 4  # 15 states; more are pruned before


class Estimate(Struct, frozen=True):
    """One option of a state: what it is expected to be worth, and under which name."""

    name: str
    formulas: Mapping[str, Derived]
    held_out: Floats


class Known(Struct, frozen=True):
    """The rows of a fit: scores and costs known for every tier, costs in units of the ceiling's."""

    panel: Panel
    order: tuple[str, ...]
    price: Mapping[str, Floats]
    fold: Ints

    @property
    def size(self) -> Floats | None:
        """Characters of the prompt, None where a call costs the same whatever the prompt."""
        values = self.panel.signals.get(SIZE)
        if values is None or np.isnan(values).any() or not values.std() > 0:
            return None
        varies = any(column.std() > 0 for column in self.price.values())
        return values if varies and len(self.order) > 1 else None

    def price_slope(self, tier: str) -> float:
        """By how much a call costs more for one more character, by least squares."""
        size, price = self.panel.signals[SIZE], self.price[tier]
        away = size - size.mean()
        return float(away @ (price - price.mean()) / (away @ away))

    @property
    def mean_price(self) -> dict[str, float]:
        """The mean price of a call."""
        return {tier: float(column.mean()) for tier, column in self.price.items()}


def states(order: Sequence[str], deepest: int | None = None) -> list[State]:
    """Return every state of at most `deepest` tiers, those with most first, the entry last."""
    most = len(order) if deepest is None else deepest
    return [s for size in range(most, -1, -1) for s in combinations(order, size)]


def later(state: State, order: Sequence[str]) -> tuple[str, ...]:
    """Return the tiers that may still be called: those stronger than the last one called."""
    return tuple(order[order.index(state[-1]) + 1 :]) if state else tuple(order)


class Estimator:
    """Fit the estimates of every state once; targets that depend on the policy are added later."""

    def __init__(self, known: Known) -> None:
        self.known = known
        self.verifiers = _verifiers(known)
        self.formulas: dict[str, Derived] = {
            name: formula
            for one in self.verifiers.values()
            for name, formula in one.formulas.items()
        }
        self.solvers: dict[tuple[State, str], Ridge] = {}
        self.designs: dict[tuple[State, bool], Design] = {}
        self.answers: dict[tuple[State, str], Estimate] = {}

    @property
    def learns(self) -> bool:
        """Say whether an answer tells anything about itself: a verifier, or agreement."""
        answers = self.known.panel.answers
        told = [tier for tier in self.known.order if tier in answers and (answers[tier] >= 0).any()]
        return bool(self.verifiers) or len(told) > 1

    @property
    def deepest(self) -> int | None:
        """How many tiers a state may hold; one, where answers tell nothing."""
        return None if self.learns else 1

    @property
    def shared(self) -> dict[str, Derived]:
        """The formulas that all policies share: verifiers, and answers in the states seen."""
        found = dict(self.formulas)
        for estimate in self.answers.values():
            found |= estimate.formulas
        return found

    def answer(self, state: State, tier: str) -> Estimate:
        """Return the chance that the answer of a called tier is right, given all of the state."""
        if (state, tier) not in self.answers:
            self.answers[state, tier] = self._answer(state, tier)
        return self.answers[state, tier]

    def _answer(self, state: State, tier: str) -> Estimate:
        if state == (tier,) and tier in self.verifiers:
            one = self.verifiers[tier]
            return Estimate(one.name, one.formulas, expit(one.evidence))
        name = f"right: {tier} in {'+'.join(state)}"
        made = self.design(state)
        fitted = fit_logistic(made, self.known.panel.score[tier], self.known.fold)
        return Estimate(name, self._with_parts(name, fitted), fitted.held_out)

    def call(self, state: State, tier: str, hoped: Floats, x: float) -> Estimate:
        """Return what a call of `tier` is worth before its mean price, at `x` a ceiling call.

        `hoped` is what is expected after the call; what this query costs more than others comes
        off. Where no answer tells anything, triage has said it all, and is not fitted again.
        """
        if not self.learns and self._foreseen(tier) is not None:
            return self._triaged(tier, x)
        price = self.known.price[tier]
        worth = hoped - x * (price - price.mean())
        name = f"worth: {tier} after {'+'.join(state) or 'nothing'}"
        if (state, tier) not in self.solvers:
            self.solvers[state, tier] = self._solver(state, worth)
        fitted = self.solvers[state, tier].fit(worth)
        return Estimate(name, self._with_parts(name, fitted), fitted.held_out)

    def _foreseen(self, tier: str) -> Floats | None:
        """What triage expects of a tier, None where it does not say for every row."""
        values = self.known.panel.signals.get(f"{TRIAGE}.{tier}")
        return None if values is None or np.isnan(values).any() else values

    def _triaged(self, tier: str, x: float) -> Estimate:
        """Triage's expectation, less what a long prompt costs more than a mean one."""
        name, values = f"{TRIAGE}.{tier}", self.known.panel.signals[f"{TRIAGE}.{tier}"]
        size, slope = self.known.size, self.known.price_slope(tier)
        if size is None or slope == 0:
            return Estimate(name, {}, values)
        mean = float(size.mean())
        after_price = Linear(
            inputs=(name, SIZE),
            weights=(1.0, -x * slope),
            fill=(float(values.mean()), mean),
            bias=x * slope * mean,
        )
        worth = f"worth: {tier} after nothing"
        return Estimate(worth, {worth: after_price}, values - x * slope * (size - mean))

    def _solver(self, state: State, worth: Floats) -> Ridge:
        """Choose features and penalty at the first target; they serve all later ones."""
        offered = (
            [self.design(state), self.design(state, raw=True)] if state else [self.design(state)]
        )
        found = [fit_ridge(made, worth, self.known.fold) for made in offered]
        return min(found, key=lambda pair: pair[1].error)[0]

    def _with_parts(self, name: str, fitted: Fitted) -> dict[str, Derived]:
        """The formula with those of the verifiers that it reads."""
        parts = {n: self.formulas[n] for n in fitted.formula.inputs if n in self.formulas}
        return {**parts, name: fitted.formula}

    def design(self, state: State, raw: bool = False) -> Design:
        """Return the features of a state: evidence of each answer, agreement, triage."""
        key = (state, raw)
        if key not in self.designs:
            columns = self._columns(state)
            if raw:
                for tier in state:
                    columns |= own_signals(self.known.panel, tier)
            self.designs[key] = design(columns, self.known.panel.n)
        return self.designs[key]

    def _columns(self, state: State) -> dict[str, Floats]:
        panel = self.known.panel
        found = {n: v for n, v in panel.signals.items() if n.startswith(f"{TRIAGE}.")}
        if self.known.size is not None:
            found[SIZE] = self.known.size
        for tier in state:
            if tier in self.verifiers:
                found[evidence_of(tier)] = self.verifiers[tier].evidence
        for pair in combinations(state, 2):
            found[agreement(*pair)] = agreeing(panel, *pair)
        return found


def agreeing(panel: Panel, first: str, second: str) -> Floats:
    """Return 1 where two tiers gave the same answer, 0 where not, NaN where that is unknown."""
    if first not in panel.answers or second not in panel.answers:
        return np.full(panel.n, np.nan)
    one, other = panel.answers[first], panel.answers[second]
    return np.where((one < 0) | (other < 0), np.nan, (one == other).astype(float))


def with_size(panel: Panel) -> Panel:
    """Return the panel with the length of each prompt as a signal, NaN where it is unknown."""
    if SIZE in panel.signals or not len(panel.prompts):
        return panel
    sizes = [np.nan if prompt is None else float(len(prompt)) for prompt in panel.prompts]
    return panel.with_signal(SIZE, np.array(sizes, dtype=float))


def _verifiers(known: Known) -> dict[str, Verifier]:
    found = {tier: fit_verifier(known.panel, tier, known.fold) for tier in known.order}
    return {tier: one for tier, one in found.items() if one is not None}
