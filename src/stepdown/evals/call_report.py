"""What tool calls need beside the score: the functions chosen, their arguments, and holding back.

Where nothing fits, nothing must be called; where something does, calling nothing is a miss.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from stepdown.core.report import Claim, Column, Table
from stepdown.core.requesting import tools_of
from stepdown.core.task import Task
from stepdown.core.tool_answer import NoCallsError, calls_in
from stepdown.evals.calls import ExpectedCall
from stepdown.evals.scored_rows import Pair, Rows
from stepdown.evals.scorers.scorer import options_of
from stepdown.evals.scorers.tool_calls import CallOptions, Checker

ERRORS = 5  # mistakes of each tier that are shown


class CallReport(Struct, frozen=True, kw_only=True):
    """One tier on tool calls.

    `held_back`: nothing called, of the rows where nothing fits; `functions`: the right ones chosen,
    of the rows where something does; `arguments`: all of them right, of the rows with the right
    functions; `errors`: what went wrong, the most frequent first.
    """

    tier: str
    functions: Claim
    arguments: Claim
    held_back: Claim
    errors: tuple[tuple[str, int], ...]


def call_report(task: Task, rows: Rows, seed: int) -> CallReport:
    """Return the figures of one tier."""
    read = [_read(task, pair) for pair in rows.pairs]
    errors = Counter(one.error for one in read if one.error)
    return CallReport(
        tier=rows.tier,
        functions=rows.share([one.named if one.expected else None for one in read], seed),
        arguments=rows.share([not one.error if one.chosen else None for one in read], seed),
        held_back=rows.share([None if one.expected else one.named for one in read], seed),
        errors=tuple(sorted(errors.items(), key=lambda one: (-one[1], one[0]))),
    )


def call_tables(reports: Sequence[CallReport]) -> tuple[Table, ...]:
    """Return the figures as tables, fit for 80 columns."""
    figures = Table(
        title="Functions, arguments, and holding back",
        columns=(
            Column("tier"),
            Column("right functions", numeric=True),
            Column("right arguments", numeric=True),
            Column("no call when none fits", numeric=True),
        ),
        rows=tuple((one.tier, one.functions, one.arguments, one.held_back) for one in reports),
        notes=("Arguments: of the answers with the right functions.",),
    )
    mistakes = Table(
        title=f"Most frequent mistakes, {ERRORS} a tier",
        columns=(Column("tier"), Column("mistake"), Column("times", numeric=True)),
        rows=tuple(
            (one.tier, said, Claim(times, "count"))
            for one in reports
            for said, times in one.errors[:ERRORS]
        ),
    )
    return (figures, *([mistakes] if mistakes.rows else []))


class _Row(Struct, frozen=True, kw_only=True):
    """One answer: whether something had to be called, the functions are right, the mistake."""

    expected: bool
    named: bool
    error: str = ""

    @property
    def chosen(self) -> bool:
        """Whether the right functions were called, so that their arguments can be looked at."""
        return self.expected and self.named


def _read(task: Task, pair: Pair) -> _Row:
    sample, outcome = pair
    expected = msgspec.convert(sample.reference, tuple[ExpectedCall, ...])
    try:
        calls = calls_in(outcome.answer or "")
    except NoCallsError:
        calls = []
    failure = outcome.failure or ("" if outcome.answer else "no_answer")
    if failure:
        return _Row(expected=bool(expected), named=False, error=f"({failure})")
    wanted, made = Counter(c.name for c in expected), Counter(str(c["name"]) for c in calls)
    if wanted != made:
        return _Row(expected=bool(expected), named=False, error=_miscalled(wanted, made))
    if outcome.score == 1.0:
        return _Row(expected=bool(expected), named=True)
    checker = Checker(tools_of(task, sample.context), options_of(CallOptions, task))
    return _Row(expected=True, named=True, error=_mistake(checker, expected, calls))


def _mistake(
    checker: Checker, expected: Sequence[ExpectedCall], calls: Sequence[Mapping[str, Any]]
) -> str:
    """Return the first mistake in the arguments, of the made call that comes nearest."""
    for one in expected:
        said = [checker.problem(one, call) for call in calls if call["name"] == one.name]
        if all(said):
            return _kind(min(said, key=len))
    return "the order of the calls" if checker.options.ordered else "the same call twice"


def _miscalled(wanted: Counter[str], made: Counter[str]) -> str:
    missed, extra = sorted((wanted - made).elements()), sorted((made - wanted).elements())
    if not missed:
        return f"calls {extra[0]} too" if wanted else f"calls {extra[0]}, though none fits"
    return f"{extra[0]} instead of {missed[0]}" if extra else f"does not call {missed[0]}"


def _kind(problem: str) -> str:
    """Return a problem without the values, so that alike ones are counted together."""
    return problem.partition(" is ")[0] + " is wrong" if ", accepted " in problem else problem
