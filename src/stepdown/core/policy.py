"""A policy: a small table over states, where a state is the tiers called so far.

A signal that was bought stands in the state too, written `?NAME`, so that no table can loop.

Each row says what to do in its state: clauses are tried in order, the first whose signal reaches
its threshold wins, otherwise the last word of the row applies. A two-tier threshold, a long
cascade, a router that chooses the entry by triage, a random mix (signal `draw`) and a policy that
buys a signal before it decides are all tables of this shape. It does not know what a signal means.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from math import isnan
from typing import Any, Literal

import msgspec
from msgspec import Struct

from stepdown.core.derived import Derived, raw_inputs

Kind = Literal["call", "buy", "accept", "polish", "abstain"]
KINDS: tuple[Kind, ...] = ("call", "buy", "accept", "polish", "abstain")


class Action(Struct, frozen=True):
    """What to do next: `call TIER`, `buy SIGNAL`, `accept TIER`, `polish TIER` or `abstain`."""

    kind: Kind
    target: str = ""

    def __post_init__(self) -> None:
        """Refuse an unknown kind, a missing target, a target where none belongs."""
        if self.kind not in KINDS:
            raise ValueError(f"unknown action {self.kind!r}: use one of {', '.join(KINDS)}")
        if (self.kind == "abstain") == bool(self.target):
            raise ValueError(f"action {self.kind!r} with target {self.target!r} makes no sense")

    def __str__(self) -> str:
        """Return the written form."""
        return f"{self.kind} {self.target}".rstrip()

    @classmethod
    def parse(cls, text: str) -> Action:
        """Read the written form."""
        kind, _, target = text.strip().partition(" ")
        return cls(kind, target.strip())  # type: ignore[arg-type]


def step_of(action: Action) -> str | None:
    """Return what an action adds to the state: a tier, `?SIGNAL`, or None when it ends the walk."""
    if action.kind == "call":
        return action.target
    return f"?{action.target}" if action.kind == "buy" else None


def tiers_in(called: tuple[str, ...]) -> tuple[str, ...]:
    """Return the tiers in a state, without the signals that were bought."""
    return tuple(step for step in called if not step.startswith("?"))


def answer_in(action: Action, called: tuple[str, ...]) -> str:
    """Return the tier whose answer an action would send or polish, "" where there is none."""
    if action.kind == "polish":
        return tiers_in(called)[-1]
    return action.target if action.kind == "accept" else ""


class Clause(Struct, frozen=True, forbid_unknown_fields=True):
    """When `signal` is known and at least `at_least`: do `then`, for `reason`."""

    signal: str
    at_least: float
    then: Action
    reason: str = "confident"

    def __post_init__(self) -> None:
        """Refuse a threshold that no value can be compared with."""
        if isnan(self.at_least):
            raise ValueError(f"the threshold of {self.signal!r} is not a number")


class Row(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What to do when exactly these tiers were called, in this order."""

    called: tuple[str, ...]
    otherwise: Action
    when: tuple[Clause, ...] = ()
    reason: str = "low_confidence"

    def __post_init__(self) -> None:
        """Refuse to accept, or to polish from, what was never called."""
        for action in self.actions:
            if action.kind == "accept" and action.target not in self.called:
                raise ValueError(f"state {list(self.called)} accepts {action.target!r}, not called")
            if action.kind == "polish" and not tiers_in(self.called):
                raise ValueError("the entry of a policy has no draft to polish")
            if step_of(action) in self.called:
                raise ValueError(f"state {list(self.called)} repeats '{action}'")

    @property
    def actions(self) -> tuple[Action, ...]:
        """Every action that the row can take."""
        return (*(clause.then for clause in self.when), self.otherwise)


class Policy(Struct, frozen=True, dict=True, forbid_unknown_fields=True):
    """The table; the tiers in order of strength, weakest first, serve what it does not foresee."""

    tiers: tuple[str, ...]
    rows: tuple[Row, ...]

    def __post_init__(self) -> None:
        """Refuse a table with a missing entry, a state twice, a loop, or a state with no row."""
        states = [row.called for row in self.rows]
        if len(set(states)) != len(states):
            raise ValueError("a policy names a state twice")
        if () not in states:
            raise ValueError("a policy needs a row for the state [] (its entry)")
        sold = {a.target for row in self.rows for a in row.actions if a.kind == "buy"}
        for row in self.rows:
            self._check(row, set(states))
            self._check_signals(row, sold)

    def _check_signals(self, row: Row, sold: set[str]) -> None:
        """Refuse to read what cannot be known yet: a tier not called, a signal not bought."""
        for clause in row.when:
            if self._early(row, clause.signal, sold):
                raise ValueError(f"state {list(row.called)} reads {clause.signal!r} too early")

    def _early(self, row: Row, signal: str, sold: set[str]) -> bool:
        # The name of a tier may hold dots (`model-4.1`): the longest tier that fits owns it.
        owners = [tier for tier in self.tiers if signal.startswith(f"{tier}.")]
        needed = {max(owners, key=len)} if owners else pair_in(signal)
        bought = signal in sold and f"?{signal}" not in row.called
        return bought or any(tier in self.tiers and tier not in row.called for tier in needed)

    def check_derived(self, derived: Mapping[str, Derived]) -> None:
        """Refuse formulas that read, in some state, what cannot be known there yet.

        Raises:
            ValueError: names the state and the signal.
        """
        sold = {a.target for row in self.rows for a in row.actions if a.kind == "buy"}
        for row in self.rows:
            for clause in row.when:
                for signal in raw_inputs(clause.signal, derived):
                    if self._early(row, signal, sold):
                        where = f"state {list(row.called)} reads {clause.signal!r}"
                        raise ValueError(f"{where}, which rests on {signal!r}, too early")

    def _check(self, row: Row, states: set[tuple[str, ...]]) -> None:
        for action in row.actions:
            if action.kind in ("call", "polish") and action.target not in self.tiers:
                raise ValueError(f"a policy calls {action.target!r}, which is not in its tiers")
            step = step_of(action)
            if step is not None and (*row.called, step) not in states:
                raise ValueError(f"a policy has no row for {[*row.called, step]}")

    @cached_property
    def by_state(self) -> dict[tuple[str, ...], Row]:
        """The rows by their state."""
        return {row.called: row for row in self.rows}

    @cached_property
    def polishes(self) -> bool:
        """Whether any row has a draft polished."""
        return any(action.kind == "polish" for row in self.rows for action in row.actions)

    @property
    def ceiling(self) -> str:
        """The strongest tier."""
        return self.tiers[-1]

    @property
    def signals(self) -> tuple[str, ...]:
        """Every signal that the table reads, sorted."""
        return tuple(sorted({clause.signal for row in self.rows for clause in row.when}))


def pair_in(signal: str) -> set[str]:
    """Return the two tiers that an agreement signal (`A=B`) compares, none for any other."""
    first, equals, second = signal.partition("=")
    return {first, second} if equals else set()


def polished(draft_tier: str, polish_tier: str) -> str:
    """Return the name under which outcomes hold an answer of one tier polished by another."""
    return f"{draft_tier}>{polish_tier}"


def confidence_of(tier: str) -> str:
    """Return the name of the signal that holds a tier's confidence."""
    return f"{tier}.confidence"


def single(tier: str) -> Policy:
    """Return the policy that always asks one tier."""
    entry = Row(called=(), otherwise=Action("call", tier), reason="entry")
    last = Row(called=(tier,), otherwise=Action("accept", tier), reason="last_tier")
    return Policy(tiers=(tier,), rows=(entry, last))


def cascade(tiers: tuple[str, ...], thresholds: tuple[float, ...]) -> Policy:
    """Return the threshold cascade: each tier keeps what it is sure of, the last keeps the rest.

    `thresholds` has one number for each tier but the last.
    """
    if len(thresholds) != len(tiers) - 1:
        raise ValueError(f"{len(tiers)} tiers need {len(tiers) - 1} thresholds")
    rows = [Row(called=(), otherwise=Action("call", tiers[0]), reason="entry")]
    for place, threshold in enumerate(thresholds):
        keep = Clause(confidence_of(tiers[place]), threshold, Action("accept", tiers[place]))
        rows.append(
            Row(
                called=tiers[: place + 1],
                when=(keep,),
                otherwise=Action("call", tiers[place + 1]),
            )
        )
    rows.append(Row(called=tiers, otherwise=Action("accept", tiers[-1]), reason="last_tier"))
    return Policy(tiers=tiers, rows=tuple(rows))


def to_plain(value: Any) -> Any:
    """Return plain dictionaries and lists: actions in their written form, defaults left out."""
    if isinstance(value, Action):
        return str(value)
    if isinstance(value, Struct):
        config = value.__struct_config__
        kind = {config.tag_field: config.tag} if config.tag_field else {}
        return kind | {
            field.name: to_plain(said)
            for field in msgspec.structs.fields(value)
            if not _unsaid(said := getattr(value, field.name), field)
        }
    if isinstance(value, Mapping):
        return {key: to_plain(said) for key, said in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(said) for said in value]
    return value


def _unsaid(value: Any, field: msgspec.structs.FieldInfo) -> bool:
    factory = field.default_factory
    default = field.default if factory is msgspec.NODEFAULT else factory()
    return value is None or (default is not msgspec.NODEFAULT and bool(value == default))


def policy_from_plain(plain: Any) -> Policy:
    """Return the policy that `to_plain` wrote.

    Raises:
        ValueError: an unknown key, an action that cannot be read, or a table that is not sound.
    """
    rows = [
        {
            **row,
            "otherwise": _action(row["otherwise"]),
            "when": [{**clause, "then": _action(clause["then"])} for clause in row.get("when", ())],
        }
        for row in plain["rows"]
    ]
    return msgspec.convert({**plain, "rows": rows}, Policy)


def _action(text: str) -> dict[str, str]:
    action = Action.parse(text)
    return {"kind": action.kind, "target": action.target}
