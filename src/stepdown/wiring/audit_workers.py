"""An audit by several processes: each reads shares of the logs, and the sums are merged.

The sums know no order, so the report is the one that a single process makes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import date
from functools import lru_cache
from multiprocessing import get_context

import msgspec
from msgspec import Struct

from stepdown.adapters.logs.detect import read_logs, readers, refusal
from stepdown.adapters.logs.shares import Share
from stepdown.adapters.prices.book import Book
from stepdown.adapters.prices.tokens import estimate_tokens
from stepdown.audit.audit import Running
from stepdown.audit.bill import AuditReport
from stepdown.audit.found import Found
from stepdown.audit.pricing import Pricer
from stepdown.audit.rules import Rules
from stepdown.audit.step_rules import Named, StepRules
from stepdown.audit.sums import Sums
from stepdown.core.call_columns import Batch
from stepdown.core.own_price import OwnPrices
from stepdown.errors import DataError
from stepdown.wiring.log_files import Watch


class Work(Struct, frozen=True, kw_only=True):
    """What every worker has to know. `step` names every call, `columns` maps a table's columns."""

    today: date
    step: str | None = None
    columns: Mapping[str, str] | None = None
    rules: StepRules | None = None
    own: OwnPrices | None = None
    limits: Rules = Rules()


class Done(Struct, frozen=True):
    """What a worker found in a share. `failure` is why it could not be read: message and hint."""

    sums: Sums
    named: Counter[str]
    failure: tuple[str, str] | None = None


def audited(
    work: Work, shares: Sequence[Share], workers: int, named: Named | None, watch: Watch | None
) -> AuditReport:
    """Return the audit of shares of logs by some workers.

    Raises:
        DataError: no log can be read.
    """
    running = Running(work.limits, Pricer(Book(work.today, work.own)), estimate_tokens)
    with _pool(workers) as pool:
        bar = _Bar(shares, watch)
        failures = []
        for share, done in zip(shares, pool.map(_read, _each(work, shares)), strict=True):
            running.sums.merge(done.sums)
            failures += [] if done.failure is None else [done.failure]
            if named is not None:
                named.counts.update(done.named)
            bar.show(share, running.sums.calls)
        if len(failures) == len(shares):
            raise DataError(*failures[0])
        if running.learn():
            bar = _Bar(shares, watch)
            jobs = ((*job, running.index.found) for job in _each(work, shares))
            for share, sums in zip(shares, pool.map(_place, jobs), strict=True):
                running.sums.merge(sums)
                bar.show(share, running.sums.calls)
    return running.report()


def _each(work: Work, shares: Sequence[Share]) -> Iterator[tuple[Work, Share]]:
    return ((work, share) for share in shares)


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Open workers that begin anew: a copy of a process with threads may stand still."""
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _read(job: tuple[Work, Share]) -> Done:
    """Count a share; of unnamed calls keep a sample."""
    work, share = job
    running, named = _begin(work)
    failure = None
    try:
        for batch in _batches(work, share, named):
            running.add(batch)
    except DataError as error:
        failure = (error.message, error.hint)
        running.sums.refuse(refusal(error, share.logs[0][2]))
    return Done(running.sums, named.counts, failure)


def _place(job: tuple[Work, Share, Sequence[Found]]) -> Sums:
    """Count the unnamed calls of a share, each at its step."""
    work, share, found = job
    running, named = _begin(work)
    running.know(found)
    try:
        for batch in _batches(work, share, named):
            running.place(batch)
    except DataError:
        pass  # it was told when the share was read first
    return running.sums


def _begin(work: Work) -> tuple[Running, Named]:
    own = None if work.own is None else msgspec.json.encode(work.own)
    running = Running(work.limits, _pricer(work.today, own), estimate_tokens)
    return running, Named(work.rules or StepRules())


@lru_cache(maxsize=1)
def _pricer(today: date, own: bytes | None) -> Pricer:
    """Return one pricer for all shares of a worker, so that each rate is asked for once."""
    prices = None if own is None else msgspec.json.decode(own, type=OwnPrices)
    return Pricer(Book(today, prices))


def _batches(work: Work, share: Share, named: Named) -> Iterator[Batch]:
    known = readers(step=work.step, columns=work.columns)
    return named.over(read_logs(share.sources(), known))


class _Bar:
    """Tells how far the shares are."""

    def __init__(self, shares: Sequence[Share], watch: Watch | None) -> None:
        self.work, self.done, self.watch = sum(share.work for share in shares), 0, watch

    def show(self, share: Share, calls: int) -> None:
        """Tell that one more share is done."""
        self.done += share.work
        if self.watch is not None:
            name = share.logs[0][0] if len(share.logs) == 1 else f"{len(share.logs)} files"
            self.watch(name, calls, self.done / max(1, self.work))
