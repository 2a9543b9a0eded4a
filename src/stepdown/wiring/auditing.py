"""`audit`: usage logs in, the bill per step and what could step down out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path

from stepdown.adapters.logs.source import Source
from stepdown.adapters.prices.book import Book
from stepdown.adapters.prices.tokens import estimate_tokens
from stepdown.audit.audit import audit
from stepdown.audit.bill import AuditReport
from stepdown.audit.step_rules import Named
from stepdown.core.call_columns import Batch
from stepdown.core.own_price import OwnPrices
from stepdown.wiring.log_files import Watch, batches_of, files_of

__all__ = ["files_of", "run"]


def run(
    files: Sequence[Source | Path],
    *,
    today: date,
    step: str | None = None,
    columns: Mapping[str, str] | None = None,
    named: Named | None = None,
    watch: Watch | None = None,
    own: OwnPrices | None = None,
) -> AuditReport:
    """Return the audit of some logs, read in batches.

    `step` names every call; `columns` maps our fields to the columns of a table; `named` holds the
    names that the team gave to steps; `own` are prices that stand before the list.
    """
    batches = batches_of(files, step=step, columns=columns, watch=watch)
    return report_on(batches if named is None else named.over(batches), today=today, own=own)


def report_on(
    batches: Iterable[Batch], *, today: date, own: OwnPrices | None = None
) -> AuditReport:
    """Return the audit of batches."""
    return audit(batches, Book(today, own), estimate=estimate_tokens)
