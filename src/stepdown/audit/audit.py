"""The audit: from batches of logged calls to the bill per step and what could step down.

Bounded memory, and the same report whatever the order of the calls. Calls that nobody named are
read twice: first a sample of them shows which steps there are, then each finds its own. It reads
no file and knows no price list: both are handed to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from msgspec.structs import replace

from stepdown.audit.bill import AuditReport
from stepdown.audit.cluster import Seen, StepIndex, discover
from stepdown.audit.found import Found
from stepdown.audit.looking import Estimate, Prompts, form_in, keys_of, look, says_anything
from stepdown.audit.parts import UNNAMED, Contents, contents_of, part_of, rows_of
from stepdown.audit.pricing import Pricer
from stepdown.audit.rules import Rules
from stepdown.audit.shape import shape_of
from stepdown.audit.stepping import report_of
from stepdown.audit.sums import Sums
from stepdown.audit.tally import Looked, Part, Tally
from stepdown.core.call_columns import Batch
from stepdown.core.usage_log import Content
from stepdown.ports.price_book import PriceBook

CLUSTER = "cluster"


def audit(
    batches: Iterable[Batch],
    prices: PriceBook,
    *,
    estimate: Estimate | None = None,
    rules: Rules | None = None,
    names: Mapping[str, str] | None = None,
    again: Callable[[], Iterable[Batch]] | None = None,
) -> AuditReport:
    """Return the audit of logged calls.

    A cost that the log reports counts as it is; otherwise the tokens are priced by `prices`;
    otherwise the cost is unknown and counted. `estimate` counts the tokens of a text where the log
    has content but no counts; without it they stay unknown. `names` are remembered names of
    discovered steps by their fingerprint. `again` reads the same batches once more; without it
    those with unnamed calls are kept meanwhile.
    """
    running = Running(rules or Rules(), Pricer(prices), estimate)
    kept = [batch for batch in batches if running.add(batch) and again is None]
    if running.learn():
        for batch in kept if again is None else again():
            running.place(batch)
    return running.report(names)


class Running:
    """An audit while it reads; what it counted is in `sums`."""

    def __init__(self, rules: Rules, pricer: Pricer, estimate: Estimate | None) -> None:
        self.rules, self.pricer, self.estimate = rules, pricer, estimate
        self.sums = Sums(rules)
        self.sums.bases = pricer.bases
        self.prompts = Prompts()
        self.index = StepIndex(())

    def add(self, batch: Batch) -> bool:
        """Count a batch; tell whether it has unnamed calls that say something."""
        self.sums.read(batch)
        if not len(batch):
            return False
        contents = contents_of(batch, range(len(batch)))
        whole = part_of(batch, contents, self.pricer, self.estimate)
        self.sums.time(whole)
        steps = _rows_by_step(batch)
        strangers, bare = _telling(steps.pop(None, ()), contents)
        for name in sorted(name for name in steps if name is not None):
            self._count(self.sums.tally(name), batch, whole, contents, steps[name])
        if bare:
            self._count(self.sums.tally(UNNAMED), batch, whole, contents, bare)
        if strangers:
            self._sample(batch, whole, contents, strangers)
        return bool(strangers)

    def learn(self) -> bool:
        """Find the steps of the unnamed calls; tell whether there are such calls."""
        if not self.sums.learning.n:
            return False
        self.know(discover(self.sums.learning.seen(), self.rules))
        return True

    def know(self, found: Sequence[Found]) -> None:
        """Know these steps."""
        self.index = StepIndex(found)
        for step in found:
            self.sums.found.setdefault(step.fingerprint, (step, Tally(self.rules)))

    def place(self, batch: Batch) -> None:
        """Count the unnamed calls of a batch where they belong."""
        rows = _rows_by_step(batch).get(None, ())
        if not rows:
            return
        contents = contents_of(batch, rows)
        strangers, _ = _telling(rows, contents)
        if not strangers:
            return
        whole = part_of(batch, contents, self.pricer, self.estimate)
        whole = replace(whole, rules=[CLUSTER] * len(batch))
        for place, own in self._by_step(strangers, contents).items():
            self._count(self._home(place), batch, whole, contents, own)

    def report(self, names: Mapping[str, str] | None = None) -> AuditReport:
        """Return the report on what was counted."""
        return report_of(self.sums, self.pricer, names or {})

    def _home(self, place: int | None) -> Tally:
        if place is None:
            return self.sums.tally(UNNAMED)
        return self.sums.found[self.index.found[place].fingerprint][1]

    def _by_step(self, rows: Sequence[int], contents: Contents) -> dict[int | None, list[int]]:
        found: dict[int | None, list[int]] = {}
        for row in rows:
            form = form_in(contents[row] or Content())
            place = None if form is None else self.index.find(form)
            found.setdefault(place, []).append(row)
        return found

    def _look(self, batch: Batch, whole: Part, contents: Contents, rows: Sequence[int]) -> Looked:
        return look(batch, whole, contents, rows, self.prompts, self.rules)

    def _count(
        self, tally: Tally, batch: Batch, whole: Part, contents: Contents, rows: Sequence[int]
    ) -> None:
        tally.add(rows_of(whole, rows))
        looked = self._look(batch, whole, contents, rows)
        if looked.said:
            tally.look(looked)

    def _sample(self, batch: Batch, whole: Part, contents: Contents, rows: Sequence[int]) -> None:
        """Keep some unnamed calls to learn from."""

        def seen(place: int) -> Seen | None:
            row = rows[place]
            said = contents[row] or Content()
            form = form_in(said)
            answer = None if whole.failed[row] else said.answer
            shape = shape_of(answer, said.called)
            return None if form is None else Seen(form, shape, int(whole.sessions[row]) or None)

        at = np.asarray(rows, dtype=np.intp)
        self.sums.learning.add(keys_of(batch, contents, rows), whole.sessions[at], seen)


def _rows_by_step(batch: Batch) -> dict[str | None, Sequence[int]]:
    words = batch.words("step")
    codes = words.codes
    order = np.argsort(codes, kind="stable")
    first = np.flatnonzero(np.diff(codes[order], prepend=codes[order][:1] - 1))
    parts = np.split(order, first[1:]) if len(order) else []
    every = (*words.names, None)  # -1 is the last
    return {every[codes[part[0]]]: part.tolist() for part in parts}


def _telling(rows: Sequence[int], contents: Contents) -> tuple[list[int], list[int]]:
    """Return the rows that say something by which a step is known, and those that do not."""
    telling = [row for row in rows if says_anything(contents[row])]
    known = set(telling)
    return telling, [row for row in rows if row not in known]
