"""What stands under a table: the level and n that its intervals share, sources, notes."""

from collections.abc import Iterator

from stepdown.adapters.render.figures import percent
from stepdown.core.report import Claim, Table

RECORDED = "recorded:"


def claims(table: Table) -> Iterator[Claim]:
    """Yield every claim of the table, the total included."""
    for row in (*table.rows, table.total or ()):
        yield from (cell for cell in row if isinstance(cell, Claim))


def shared_n(table: Table) -> int | None:
    """Return the n of all claims that have an interval or n, when there is only one."""
    counts = [c.n for c in claims(table) if c.n is not None or _has_interval(c)]
    return counts[0] if len(counts) > 1 and len(set(counts)) == 1 else None


def evidence(table: Table) -> tuple[str, ...]:
    """Return sentences on level, n and sources, so that no figure stands without them."""
    levels = sorted({c.level for c in claims(table) if c.level is not None and _has_interval(c)})
    lines = [f"Intervals at {' and '.join(percent(level) for level in levels)}"] if levels else []
    n = shared_n(table)
    lines += [] if n is None else [f"n={n:,} for each figure with an interval"]
    head = ("; ".join(lines) + ".",) if lines else ()
    sources = dict.fromkeys(c.source for c in claims(table) if c.source)
    return (*head, f"Source: {'; '.join(sources)}.") if sources else head


def recorded_notes(table: Table) -> tuple[str, ...]:
    """Return the notes that say which answers were recorded, without their mark."""
    marked = (note for note in table.notes if note.startswith(RECORDED))
    return tuple(note.removeprefix(RECORDED).strip() for note in marked)


def plain_notes(table: Table) -> tuple[str, ...]:
    """Return the other notes."""
    return tuple(note for note in table.notes if not note.startswith(RECORDED))


def _has_interval(claim: Claim) -> bool:
    return claim.low is not None or claim.high is not None
