"""What it would take to prove that a step can step down: rows, labels, and what the eval costs.

The rows are looked up in a table that `tools/plan_rows.py` makes of the test that ships, because
planning exactly takes seconds. The rates are assumed: nobody has run a smaller model yet.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

import msgspec
from msgspec import Struct

from stepdown.audit.bill import Proof, Work
from stepdown.audit.rules import Rules

JUDGED: tuple[Work, ...] = ("draft", "polish", "summarise", "open-ended", "long-context", "unknown")
ROWS = "rows_to_certify.json"


class Scenario(Struct, frozen=True):
    """Of the answers that the smaller tier keeps: `disagree` are unlike the ceiling's, `loss` score
    1 less and `gain` 1 more.
    """

    disagree: float
    loss: float
    gain: float


# Assumptions, not measurements: a tier that is nearly as good, and one that just about passes.
SCENARIOS: Mapping[str, Scenario] = MappingProxyType(
    {"good": Scenario(0.05, 0.0025, 0.0025), "poor": Scenario(0.1, 0.02, 0.01)}
)


class Cell(Struct, frozen=True, array_like=True):
    """The rows for one limit, share kept and scenario; None: more than the plan looks at."""

    limit: float
    kept: float
    scenario: str
    rows: int | None


class Plans(Struct, frozen=True, kw_only=True):
    """The table, who made it and when; `digest` is that of its cells."""

    source: str
    generator: str
    date: str
    delta: float
    first_share: float
    power: float
    scenarios: Mapping[str, Scenario]
    digest: str
    cells: tuple[Cell, ...]


@cache
def plans() -> Plans:
    """Return the table that ships."""
    return msgspec.json.decode((files(__package__) / ROWS).read_bytes(), type=Plans)


def rows_for(limit: float, kept: float, scenario: str) -> int | None:
    """Return the rows of the nearest cell that asks for at least as much.

    None: the table has no cell that is strict enough, or the plan found no number of rows.
    """
    same = [cell for cell in plans().cells if cell.scenario == scenario]
    limits = [cell.limit for cell in same if cell.limit <= limit]
    shares = [cell.kept for cell in same if cell.kept >= kept]
    if not limits or not shares:
        return None
    return next(c.rows for c in same if c.limit == max(limits) and c.kept == min(shares))


def proof_of(
    kind: Work,
    kept: tuple[float, float],
    attempt_usd: float | None,
    judge_usd: float | None,
    rules: Rules,
) -> Proof:
    """Return what a proof takes.

    `kept` are the least and the most share of calls that the smaller tier is assumed to keep,
    `attempt_usd` what one of its attempts costs, `judge_usd` what judging one answer costs; None:
    unknown. The logged answers are the ceiling's, so it is not asked again.
    """
    judged = kind in JUDGED
    fewest = rows_for(rules.max_loss, kept[0], "good")
    most = rows_for(rules.max_loss, kept[1], "poor")
    asked = tuple(None if rows is None else _sent(rows, rules) for rows in (fewest, most))
    each = _add(attempt_usd, _twice(judge_usd) if judged else 0.0)
    return Proof(
        max_loss=rules.max_loss,
        rows_low=fewest,
        rows_high=most,
        labels_low=_labels(fewest, kept[0], "good"),
        labels_high=_labels(most, kept[1], "poor"),
        eval_low_usd=_times(each, asked[0]),
        eval_high_usd=_times(each, asked[1]),
        judged=judged,
    )


def _sent(rows: int, rules: Rules) -> int:
    """Return the calls of an eval whose certify part has so many rows: tune rows are asked too."""
    return math.ceil(rows * (1 + rules.tune_rows))


def _labels(rows: int | None, kept: float, scenario: str) -> int | None:
    """Return the rows that a person must judge: kept answers unlike the ceiling's."""
    return None if rows is None else math.ceil(rows * kept * SCENARIOS[scenario].disagree)


def _twice(usd: float | None) -> float | None:
    return None if usd is None else 2 * usd  # the smaller tier's answer, and the ceiling's


def _add(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else first + second


def _times(usd: float | None, n: int | None) -> float | None:
    return None if usd is None or n is None else usd * n
