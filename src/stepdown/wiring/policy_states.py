"""A routed policy state by state: in which states rows arrive, how many, and what is done there.

It decides nothing. States that hardly any row meets are left out and counted.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from stepdown.core.derived import Derived
from stepdown.core.policy import Policy, Row
from stepdown.core.replay_array import ReplayedArray
from stepdown.core.report import Claim, Column, Table
from stepdown.wiring.policy_shape import is_race, reachable
from stepdown.wiring.policy_words import WHOLE, state_words

RARE = 0.01  # of the rows: a state that fewer meet has no line
MOST = 6  # lines
WORTH = (
    "Of several choices the one that is worth most: its expected score, less the price of the "
    "calls that it still needs, by formulas in the lock."
)


class StateLine(Struct, frozen=True):
    """A state, the share of the rows that met it (0..1), and what the policy does there."""

    after: str
    share: float
    does: str


class StateLines(Struct, frozen=True):
    """The states that matter, in the order of a walk, and what was left out: states, and whether
    choices are weighed against each other in any.
    """

    lines: tuple[StateLine, ...] = ()
    left_out: int = 0
    weighed: bool = False


def state_lines(policy: Policy, derived: Mapping[str, Derived], done: ReplayedArray) -> StateLines:
    """Return the states that at least RARE of the rows met; at most MOST, of those the busiest.

    A state that only sends the last answer has no line: nobody needs to be told.
    """
    told = [
        (row, _share(done, row), state_words(policy, row, derived)) for row in reachable(policy)
    ]
    told = [one for one in told if one[2]]
    busiest = sorted(told, key=lambda one: -one[1])[:MOST]
    kept = [one for one in told if one in busiest and one[1] >= RARE]
    return StateLines(
        tuple(
            StateLine(" + ".join(_steps(row)) or "start", share, does) for row, share, does in kept
        ),
        len(told) - len(kept),
        any(is_race(row, derived) for row, _, _ in kept),
    )


def _share(done: ReplayedArray, row: Row) -> float:
    """The share of the rows that were in a state, there or on their way."""
    size = len(row.called)
    met = [state[:size] == row.called for state in done.states]
    n = len(done.called_at)
    return sum(met[place] for place in done.called_at.tolist()) / n if n else 0.0


def _steps(row: Row) -> list[str]:
    return [step.removeprefix("?") for step in row.called]


def is_long(policy: Policy, derived: Mapping[str, Derived]) -> bool:
    """Say whether a policy needs more than a sentence."""
    rows = [row for row in reachable(policy) if state_words(policy, row, derived)]
    return len(rows) > WHOLE or any(is_race(row, derived) for row in rows)


def states_table(found: StateLines) -> Table:
    """Return the states as a table."""
    more = "1 more state is" if found.left_out == 1 else f"{found.left_out} more states are"
    rest = f"{more} left out, which few rows or none met; the lock holds all."
    return Table(
        title="What the policy does",
        columns=(Column("after"), Column("rows", numeric=True), Column("choice")),
        rows=tuple((one.after, Claim(one.share, "share"), one.does) for one in found.lines),
        notes=(*((WORTH,) if found.weighed else ()), *((rest,) if found.left_out else ())),
    )
