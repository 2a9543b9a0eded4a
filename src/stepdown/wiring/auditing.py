"""`audit`: usage logs in, the bill per step and what could step down out."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path

from stepdown.adapters.logs.detect import readers
from stepdown.adapters.logs.shares import shares_of, work_of
from stepdown.adapters.logs.source import Source
from stepdown.adapters.prices.book import Book
from stepdown.adapters.prices.tokens import estimate_tokens
from stepdown.audit.audit import audit
from stepdown.audit.bill import AuditReport
from stepdown.audit.rules import Rules
from stepdown.audit.step_rules import Named
from stepdown.config.schema import AuditKeys
from stepdown.core.call_columns import Batch
from stepdown.core.own_price import OwnPrices
from stepdown.wiring.log_files import Watch, batches_of, files_of

__all__ = ["files_of", "run"]

# Under this a second process costs more than it saves: it takes about as long to start as a worker
# takes to read 8 MB (measured on two cores).
WORTH_BYTES = 32 << 20
SHARE_BYTES = 16 << 20
Logs = Sequence[Source | Path]


def run(
    files: Logs,
    *,
    today: date,
    step: str | None = None,
    columns: Mapping[str, str] | None = None,
    named: Named | None = None,
    watch: Watch | None = None,
    own: OwnPrices | None = None,
    rules: Rules | None = None,
    workers: int = 1,
) -> AuditReport:
    """Return the audit of some logs, read in batches.

    `step` names every call; `columns` maps our fields to the columns of a table; `named` holds the
    names that the team gave to steps; `own` are prices that stand before the list; `rules` are the
    limits by which steps are judged. With several `workers` a large log is read by as many
    processes; the report is the same.
    """
    with tempfile.TemporaryDirectory() as folder:
        logs = [_twice(log, Path(folder) / str(n)) for n, log in enumerate(files)]
        if workers > 1 and sum(map(work_of, logs)) >= WORTH_BYTES:
            from stepdown.wiring.audit_workers import Work, audited

            shares = shares_of(logs, readers(step=step, columns=columns), SHARE_BYTES)
            work = Work(
                today=today,
                step=step,
                columns=columns,
                rules=None if named is None else named.rules,
                own=own,
                limits=rules or Rules(),
            )
            return audited(work, shares, min(workers, len(shares)), named, watch)

        def read(by: Named | None) -> Iterator[Batch]:
            batches = batches_of(logs, step=step, columns=columns, watch=watch)
            return batches if by is None else by.over(batches)

        again = None if named is None else Named(named.rules)
        return audit(
            read(named),
            Book(today, own),
            estimate=estimate_tokens,
            rules=rules,
            again=lambda: read(again),
        )


def rules_of(keys: AuditKeys) -> Rules:
    """Return the rules with what a project says of its steps."""
    facing, high = keys.customer_facing, keys.high_stakes
    return Rules(
        customer_facing=None if facing is None else tuple(facing),
        high_stakes=None if high is None else tuple(high),
    )


def report_on(
    read: Callable[[], Iterable[Batch]], *, today: date, own: OwnPrices | None = None
) -> AuditReport:
    """Return the audit of batches that can be read more than once."""
    return audit(read(), Book(today, own), estimate=estimate_tokens, again=read)


def _twice(log: Source | Path, where: Path) -> Source | Path:
    """Return a log that can be read twice; a stream is kept in a file, packed as it is."""
    return log.kept(where) if isinstance(log, Source) and log.path is None else log
