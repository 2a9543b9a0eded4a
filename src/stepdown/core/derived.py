"""Derived signals: numbers computed from other signals by a formula that stands in the lock.

`TIER.NAME` is read off a tier's answer, `A=B` says whether two tiers gave the same answer,
`triage.TIER` is predicted before any call, `draw` is the request's own random number; what is
derived combines them. It does not know what a number means, and it decides nothing: a policy
compares it with a threshold. The vectorised twin in `replay_array` is tested equal to it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Literal

from msgspec import Struct

Known = Callable[[str], float | None]
TRIAGE = "triage"
DRAW = "draw"
SIZE = "prompt.characters"  # the length of the bare input, known before any call


class Linear(Struct, frozen=True, tag="linear", omit_defaults=True, forbid_unknown_fields=True):
    """`bias` + sum of weight x input, through `link`; an unknown input counts as its `fill`.

    With every input unknown the value is unknown.
    """

    inputs: tuple[str, ...]
    weights: tuple[float, ...]
    fill: tuple[float, ...]
    bias: float = 0.0
    link: Literal["identity", "logistic"] = "identity"

    def __post_init__(self) -> None:
        """Refuse sizes that differ and numbers that are not finite."""
        if not len(self.inputs) == len(self.weights) == len(self.fill):
            raise ValueError("a linear signal needs one weight and one fill for each input")
        if not all(math.isfinite(x) for x in (*self.weights, *self.fill, self.bias)):
            raise ValueError("a linear signal has a number that is not finite")


class Lead(Struct, frozen=True, tag="lead", omit_defaults=True, forbid_unknown_fields=True):
    """By how much `of` leads the best of `over`, each after its price: (of - p) - max(over - p).

    `less` holds the prices in units of score: first of `of`, then of each in `over`. Unknown
    rivals are left out; it is unknown when `of` or all of `over` are.
    """

    of: str
    over: tuple[str, ...]
    less: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse a race without rivals or prices."""
        if not self.over or len(self.less) != len(self.over) + 1:
            raise ValueError("a lead needs at least one rival, and one price more than rivals")
        if not all(math.isfinite(x) for x in self.less):
            raise ValueError("a lead has a price that is not finite")

    @property
    def inputs(self) -> tuple[str, ...]:
        """Everything that it reads."""
        return (self.of, *self.over)


Derived = Linear | Lead


def agreement(first: str, second: str) -> str:
    """Return the name of the signal that says whether two tiers gave the same answer (1 or 0)."""
    low, high = sorted((first, second))
    return f"{low}={high}"


def raw_inputs(name: str, derived: Mapping[str, Derived]) -> Iterator[str]:
    """Yield the signals that are not derived themselves and that `name` rests on.

    Raises:
        ValueError: signals derived from each other in a ring.
    """
    yield from _raw(name, derived, ())


def _raw(name: str, derived: Mapping[str, Derived], above: tuple[str, ...]) -> Iterator[str]:
    if name in above:
        raise ValueError(f"the signal {name!r} is derived from itself")
    if name not in derived:
        yield name
        return
    for below in derived[name].inputs:
        yield from _raw(below, derived, (*above, name))


def value_of(name: str, derived: Mapping[str, Derived], known: Known) -> float | None:
    """Return the value of a signal, derived or known; None when it is unknown."""
    formula = derived.get(name)
    if formula is None:
        value = known(name)
        return None if value is None or math.isnan(value) else value

    def below(part: str) -> float | None:
        return value_of(part, derived, known)

    return _linear(formula, below) if isinstance(formula, Linear) else _lead(formula, below)


def _linear(formula: Linear, known: Known) -> float | None:
    total, seen = formula.bias, not formula.inputs
    for name, weight, fill in zip(formula.inputs, formula.weights, formula.fill, strict=True):
        value = known(name)
        seen = seen or value is not None
        total += weight * (fill if value is None else value)
    if not seen:
        return None
    return logistic(total) if formula.link == "logistic" else total


def _lead(formula: Lead, known: Known) -> float | None:
    own, best = known(formula.of), -math.inf
    for name, price in zip(formula.over, formula.less[1:], strict=True):
        value = known(name)
        if value is not None:
            best = max(best, value - price)
    if own is None or best == -math.inf:
        return None
    return (own - formula.less[0]) - best


def logistic(x: float) -> float:
    """Return 1 / (1 + exp(-x)) without overflow."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))
