"""The audit: from batches of logged calls to the bill per step and what could step down.

One pass, bounded memory, and the same report whatever the order of the calls. It reads no file and
knows no price list: both are handed to it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import isnan
from typing import Any

import numpy as np
from msgspec import Struct

from stepdown.audit.bill import AuditReport
from stepdown.audit.cluster import Seen as Unnamed
from stepdown.audit.cluster import StepIndex, discover
from stepdown.audit.found import Found
from stepdown.audit.looking import Cache, Estimate, estimated, form_in, looked_at
from stepdown.audit.pricing import Priced, Pricer
from stepdown.audit.rules import Rules
from stepdown.audit.shape import shape_of
from stepdown.audit.sketch import hash64
from stepdown.audit.stepping import report_of
from stepdown.audit.tally import TOKENS, Looked, Part, Tally
from stepdown.core.call_columns import Batch
from stepdown.core.usage_log import Content, Refused
from stepdown.ports.price_book import PriceBook

UNNAMED = "unnamed"
OTHER = "other steps"
CLUSTER = "cluster"
_NUMBERS = (*TOKENS, "latency_s", "max_tokens", "tools", "tools_bytes", "retries", "at_s")


def audit(
    batches: Iterable[Batch],
    prices: PriceBook,
    *,
    estimate: Estimate | None = None,
    rules: Rules | None = None,
    names: Mapping[str, str] | None = None,
) -> AuditReport:
    """Return the audit of logged calls.

    A cost that the log reports counts as it is; otherwise the tokens are priced by `prices`;
    otherwise the cost is unknown and counted. `estimate` counts the tokens of a text where the log
    has content but no counts; without it they stay unknown. `names` are remembered names of
    discovered steps by their fingerprint.
    """
    running = Running(rules or Rules(), Pricer(prices), estimate, names or {})
    for batch in batches:
        running.add(batch)
    return running.report()


class _Waiting(Struct, frozen=True):
    """Unnamed calls of one batch that wait for their step, with what was looked at."""

    part: Part
    looked: list[Looked | None]
    unnamed: list[Unnamed]


class Running:
    """What has been read so far."""

    def __init__(
        self, rules: Rules, pricer: Pricer, estimate: Estimate | None, names: Mapping[str, str]
    ) -> None:
        self.rules, self.pricer, self.estimate, self.names = rules, pricer, estimate, names
        self.named: dict[str, Tally] = {}
        self.found: dict[str, tuple[Found, Tally]] = {}
        self.waiting: list[_Waiting] = []
        self.first_s, self.last_s = float("inf"), float("-inf")
        self.refused: dict[str, tuple[int, Refused]] = {}
        self.unknown_fields: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()
        self.formats: Counter[str] = Counter()
        self.days: Counter[int] = Counter()

    def add(self, batch: Batch) -> None:
        """Count a batch."""
        self.unknown_fields.update(batch.unknown_fields)
        self.notes.update(batch.notes)
        self.formats[batch.format or "rows"] += len(batch)
        for refused in batch.refused:
            self._refuse(refused)
        if not len(batch):
            return
        contents = self._contents(batch)
        whole = self._part(batch, contents)
        self._time(whole)
        self._share(batch, whole, contents)
        if sum(len(waiting.unnamed) for waiting in self.waiting) >= self.rules.wait:
            self._discover()

    def report(self) -> AuditReport:
        """Return the report on everything that was counted."""
        self._discover()
        return report_of(self)

    def _contents(self, batch: Batch) -> list[Content | None]:
        """Return what was said in each row; a log without content is looked at here and there."""
        rows = len(batch)
        if batch.raws is None or batch.unpack is None:
            return [None] * rows
        probe = range(0, rows, max(1, rows // self.rules.probed))
        if not any(batch.content(row).messages for row in probe):
            return [None] * rows
        return [batch.content(row) for row in range(rows)]

    def _part(self, batch: Batch, contents: Sequence[Content | None]) -> Part:
        numbers = {name: batch.numbers(name) for name in _NUMBERS}
        guessed = np.nan_to_num(batch.numbers("estimated")) > 0
        if self.estimate is not None:
            self._estimate(numbers, guessed, contents, self.estimate)
        priced: Priced = self.pricer.price(batch, numbers)
        step, rule = list(batch.words("step")), list(batch.words("step_rule"))
        rules = [
            UNNAMED if name is None else by or "column step"
            for name, by in zip(step, rule, strict=True)
        ]
        return Part(
            numbers=numbers,
            estimated=guessed,
            failed=_failed(batch),
            pico=priced.pico,
            who=priced.who,
            rates=priced.rates,
            models=list(batch.words("model")),
            sessions=_sessions(batch),
            rules=rules,
            finish=list(batch.words("finish")),
        )

    @staticmethod
    def _estimate(
        numbers: dict[str, Any],
        guessed: Any,
        contents: Sequence[Content | None],
        estimate: Estimate,
    ) -> None:
        read, wrote = numbers["input_tokens"], numbers["output_tokens"]
        bare = np.flatnonzero(np.isnan(read) | np.isnan(wrote)).tolist()
        rows = [row for row in bare if contents[row] is not None]
        if not rows:
            return
        read, wrote = read.copy(), wrote.copy()
        for row in rows:
            said = contents[row] or Content()
            before = (_told(read[row]), _told(wrote[row]))
            after = estimated(said, *before, estimate)
            read[row], wrote[row] = (np.nan if v is None else v for v in after)
            guessed[row] = guessed[row] or after != before
        numbers["input_tokens"], numbers["output_tokens"] = read, wrote

    def _share(self, batch: Batch, whole: Part, contents: Sequence[Content | None]) -> None:
        """Give each step its rows."""
        rows_of: dict[str | None, list[int]] = {}
        for row, name in enumerate(batch.words("step")):
            rows_of.setdefault(name, []).append(row)
        for name in sorted(rows_of, key=lambda name: name or ""):
            rows = rows_of[name]
            if name is not None:
                self._count(
                    self._tally(name), whole, rows, self._look(batch, whole, contents, rows)
                )
        if None in rows_of:
            self._wait(batch, whole, contents, rows_of[None])

    def _tally(self, name: str) -> Tally:
        """Return the tally of a name; names beyond the limit share one."""
        if name not in self.named and len(self.named) >= self.rules.most_steps:
            name = OTHER
        return self.named.setdefault(name, Tally(self.rules))

    def _look(
        self, batch: Batch, whole: Part, contents: Sequence[Content | None], rows: Sequence[int]
    ) -> list[Looked | None]:
        ids = batch.texts("id")
        return [
            None
            if (said := contents[row]) is None
            else looked_at(
                said,
                ids[row] or batch.place(row),
                whole.models[row],
                failed=bool(whole.failed[row]),
                pico=int(whole.pico[row]),
                cache=self._cache(whole, row),
            )
            for row in rows
        ]

    def _cache(self, whole: Part, row: int) -> Cache | None:
        """Return what a cache might save on a call that was given nothing from one."""
        if np.nan_to_num(whole.numbers["cached_tokens"][row]) > 0:
            return None
        saves = float(whole.rates["input"][row] - whole.rates["cached"][row])
        return Cache(float(whole.numbers["at_s"][row]), saves, self.rules)

    @staticmethod
    def _count(
        tally: Tally, whole: Part, rows: Sequence[int], looked: Sequence[Looked | None]
    ) -> None:
        tally.add(_rows(whole, rows))
        for one in looked:
            if one is not None:
                tally.look(one)

    def _wait(
        self, batch: Batch, whole: Part, contents: Sequence[Content | None], rows: Sequence[int]
    ) -> None:
        forms = {row: form_in(said) for row in rows if (said := contents[row]) is not None}
        formed = [row for row in rows if forms.get(row) is not None]
        bare = [row for row in rows if forms.get(row) is None]
        if bare:
            looked = self._look(batch, whole, contents, bare)
            self._count(self._tally(UNNAMED), whole, bare, looked)
        if not formed:
            return
        unnamed = []
        for row in formed:
            said, session = contents[row] or Content(), whole.sessions[row]
            answer = None if whole.failed[row] else said.answer
            place = None if session is None else hash64(session)
            form = forms[row]
            assert form is not None
            unnamed.append(Unnamed(form, shape_of(answer, said.called), place))
        part = msgspec_rules(_rows(whole, formed), CLUSTER)
        self.waiting.append(_Waiting(part, self._look(batch, whole, contents, formed), unnamed))

    def _discover(self) -> None:
        """Find the steps of the calls that wait, and count them there."""
        calls = [call for waiting in self.waiting for call in waiting.unnamed]
        if not calls:
            return
        index = StepIndex([found for found, _ in self.found.values()])
        strangers = [call for call in calls if index.find(call.form) is None]
        for found in discover(strangers, self.rules) if strangers else ():
            self.found.setdefault(found.fingerprint, (found, Tally(self.rules)))
        index = StepIndex([found for found, _ in self.found.values()])
        for waiting in self.waiting:
            self._settle(waiting, index)
        self.waiting = []

    def _settle(self, waiting: _Waiting, index: StepIndex) -> None:
        rows_of: dict[int | None, list[int]] = {}
        for row, call in enumerate(waiting.unnamed):
            rows_of.setdefault(index.find(call.form), []).append(row)
        for place, rows in rows_of.items():
            if place is None:
                tally = self._tally(UNNAMED)
            else:
                tally = self.found[index.found[place].fingerprint][1]
            self._count(tally, waiting.part, rows, [waiting.looked[row] for row in rows])

    def _time(self, whole: Part) -> None:
        at_s = whole.numbers["at_s"]
        known = np.isfinite(at_s)
        if not known.any():
            return
        self.first_s = min(self.first_s, float(at_s[known].min()))
        self.last_s = max(self.last_s, float(at_s[known].max()))
        days = np.floor(at_s[known] / 86_400).astype(np.int64)
        distinct, which = np.unique(days, return_inverse=True)
        for place, day in enumerate(distinct.tolist()):
            self.days[day] += int(whole.pico[known][which == place].sum())

    def _refuse(self, refused: Refused) -> None:
        reason = refused.why.partition(" (byte")[0]  # equal ones count together
        count, example = self.refused.get(reason, (0, refused))
        earlier = min(example, refused, key=lambda row: (row.source, row.line))
        self.refused[reason] = (count + 1, earlier)


def _rows(part: Part, rows: Sequence[int]) -> Part:
    at = np.asarray(rows, dtype=np.intp)
    return Part(
        numbers={name: values[at] for name, values in part.numbers.items()},
        estimated=part.estimated[at],
        failed=part.failed[at],
        pico=part.pico[at],
        who=part.who[at],
        rates={name: values[at] for name, values in part.rates.items()},
        models=[part.models[row] for row in rows],
        sessions=[part.sessions[row] for row in rows],
        rules=[part.rules[row] for row in rows],
        finish=[part.finish[row] for row in rows],
    )


def msgspec_rules(part: Part, rule: str) -> Part:
    """Return the part with one rule for all of its rows."""
    from msgspec.structs import replace

    return replace(part, rules=[rule] * len(part.pico))


def _sessions(batch: Batch) -> list[str | None]:
    return [a or b for a, b in zip(batch.texts("session"), batch.texts("trace"), strict=True)]


def _failed(batch: Batch) -> Any:
    status = batch.words("status")
    good = [code for code, name in enumerate(status.names) if name == "ok"]
    return (status.codes >= 0) & ~np.isin(status.codes, good)


def _told(value: float) -> float | None:
    return None if isnan(value) else float(value)
