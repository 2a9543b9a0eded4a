"""The requests that matched no contract, by outline: what `audit` should look at next."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from stepdown.core.report import Cell, Claim, Column, Section, Table
from stepdown.core.trace import Trace

ABOUT = (
    "An outline holds no text; the same #digest is the same system prompt. "
    "`stepdown explain EXAMPLE` shows one of them."
)
SHOWN = 10  # outlines told one by one


def unmatched_section(traces: Iterable[Trace]) -> tuple[Section, ...]:
    """Return the section of the report, nothing where every request matched."""
    groups: dict[tuple[str, str, str], list[Trace]] = defaultdict(list)
    for trace in traces:
        if trace.outline is not None:
            key = (trace.task, trace.outside_guarantee or "", trace.outline)
            groups[key].append(trace)
    if not groups:
        return ()
    ranked = sorted(groups.items(), key=lambda pair: (-len(pair[1]), pair[0]))
    table = Table(
        title="Requests that matched no contract",
        columns=(
            Column("asked for"),
            Column("why"),
            Column("requests", numeric=True),
            Column("outline"),
            Column("example", optional=True),
        ),
        rows=tuple(_row(key, found) for key, found in ranked[:SHOWN]),
        notes=(*_rest(ranked), ABOUT),
    )
    return (Section("No contract", (table,)),)


def _row(key: tuple[str, str, str], found: Sequence[Trace]) -> tuple[Cell, ...]:
    asked, why, outline = key
    return (asked, why, Claim(float(len(found)), "count"), outline, found[-1].id)


def _rest(ranked: Sequence[tuple[tuple[str, str, str], Sequence[Trace]]]) -> tuple[str, ...]:
    left = ranked[SHOWN:]
    count = sum(len(found) for _, found in left)
    return (f"{len(left)} further outlines with {count} requests are left out.",) if left else ()
