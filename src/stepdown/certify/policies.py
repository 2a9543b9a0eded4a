"""Policies for a price of cost: backward induction over states, and the table that carries it out.

At a price x (score given up for one ceiling call) every state does what is worth most: stop with
the best answer seen, or call a stronger tier. It knows estimates, not where they come from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from stepdown.certify.fitting import Floats
from stepdown.certify.states import Estimate, Estimator, State, later, states
from stepdown.core.derived import Derived, Lead
from stepdown.core.policy import Action, Clause, Policy, Row

REASONS = {"accept": "worth_most", "call": "worth_calling"}
RARE = 0.002  # share of rows under which an option of a state is dropped


class Option(Struct, frozen=True):
    """One action of a state with its estimate and its price in score."""

    action: Action
    estimate: Estimate
    price: float


class Routed(Struct, frozen=True):
    """A policy with its formulas, and what it scored and cost, row by row, out of fold."""

    policy: Policy
    derived: Mapping[str, Derived]
    score: Floats
    price: Floats


class _Done(Struct, frozen=True):
    """What came of one state, row by row, when the policy is followed from there.

    `hoped` is what the estimates expect, after prices: it is smoother than what came, so that the
    estimates one step earlier are fitted on it.
    """

    score: Floats
    price: Floats
    options: tuple[Option, ...]
    taken: NDArray[np.intp]
    hoped: Floats


def route_at(estimator: Estimator, x: float, order: tuple[str, ...]) -> Routed:
    """Return the policy among `order` for the price `x` of one ceiling call, in units of score."""
    done: dict[State, _Done] = {}
    for state in states(order, estimator.deepest):
        done[state] = _settle(estimator, state, x, done, order)
    rows, derived = _table(done)
    policy = Policy(tiers=order, rows=rows)
    return Routed(policy, derived, done[()].score, done[()].price)


def _settle(
    estimator: Estimator,
    state: State,
    x: float,
    done: Mapping[State, _Done],
    order: tuple[str, ...],
) -> _Done:
    options = _options(estimator, state, x, done, later(state, order))
    values = np.array([one.estimate.held_out - one.price for one in options])
    taken = values.argmax(axis=0)
    used = np.bincount(taken, minlength=len(options)) >= max(1.0, RARE * taken.size)
    if not used.all():
        options = [one for one, keep in zip(options, used, strict=True) if keep]
        taken = values[used].argmax(axis=0)
    score, price = np.empty(taken.size), np.empty(taken.size)
    for place, one in enumerate(options):
        here = taken == place
        came, paid = _came(estimator, state, one.action, done)
        score[here], price[here] = came[here], paid[here]
    hoped = values.max(axis=0)
    return _Done(score, price, tuple(options), taken, hoped)


def _came(
    estimator: Estimator, state: State, action: Action, done: Mapping[State, _Done]
) -> tuple[Floats, Floats]:
    """The score in the end and the price of the calls from here on."""
    known = estimator.known
    if action.kind == "accept":
        return known.panel.score[action.target], np.zeros(known.panel.n)
    after = done[(*state, action.target)]
    return after.score, after.price + known.price[action.target]


def _options(
    estimator: Estimator,
    state: State,
    x: float,
    done: Mapping[State, _Done],
    left: Sequence[str],
) -> list[Option]:
    """Accepting a called tier, weakest first, then calling a stronger one, weakest first."""
    known, found = estimator.known, []
    if state and not estimator.learns:
        return [_end(state[-1], known.panel.score[state[-1]])]
    for tier in state:
        right = estimator.answer(state, tier)
        found.append(Option(Action("accept", tier), right, 0.0))
    for tier in left:
        after = done[(*state, tier)]
        estimate = estimator.call(state, tier, after.hoped, x)
        price = x * known.mean_price[tier]
        found.append(Option(Action("call", tier), estimate, price))
    return found


def _end(tier: str, score: Floats) -> Option:
    """Accept the one answer there is, whatever it is worth."""
    return Option(Action("accept", tier), Estimate("", {}, score), 0.0)


def _table(done: Mapping[State, _Done]) -> tuple[tuple[Row, ...], dict[str, Derived]]:
    """Return the rows of the states that can be reached, and every formula that they rest on."""
    rows: list[Row] = []
    derived: dict[str, Derived] = {}
    waiting: list[State] = [()]
    while waiting:
        state = waiting.pop(0)
        options = done[state].options
        rows.append(row_of(state, options, derived))
        calls = [one.action.target for one in options if one.action.kind == "call"]
        waiting += [(*state, tier) for tier in calls]
    return tuple(rows), derived


def row_of(state: State, options: Sequence[Option], derived: dict[str, Derived]) -> Row:
    """Return the row that takes the option with the largest lead; add its formulas to `derived`.

    The last option needs no clause: it is what remains, and what an unknown value falls back to.
    """
    clauses = []
    for place, one in enumerate(options[:-1]):
        rivals = options[place + 1 :]
        lead = Lead(
            of=one.estimate.name,
            over=tuple(rival.estimate.name for rival in rivals),
            less=(one.price, *(rival.price for rival in rivals)),
        )
        name = f"lead: {one.action} in {'+'.join(state) or 'nothing'}"
        derived[name] = lead
        clauses.append(Clause(name, 0.0, one.action, REASONS[one.action.kind]))
        for part in (one, *rivals):
            derived |= part.estimate.formulas
    last = options[-1].action
    return Row(called=state, when=tuple(clauses), otherwise=last, reason=REASONS[last.kind])
