"""All that is counted over a log: sums that do not depend on the order, and can be merged."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np

from stepdown.audit.found import Found
from stepdown.audit.learning import Learning
from stepdown.audit.rules import Rules
from stepdown.audit.tally import Part, Tally
from stepdown.core.call_columns import Batch
from stepdown.core.usage_log import Refused

OTHER = "other steps"
_DAY_S = 86_400


_VALUE = re.compile(r": (?:'.*'|\".*\"|-?[\d.e+-]+)$", re.DOTALL)


class Sums:
    """What has been counted so far. `bases` are who said what a call cost (`Tally.who`)."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.bases: list[tuple[str, str]] = []
        self.named: dict[str, Tally] = {}
        self.found: dict[str, tuple[Found, Tally]] = {}
        self.learning = Learning(rules.learn)
        self.first_s, self.last_s = float("inf"), float("-inf")
        self.refused: dict[str, tuple[int, Refused]] = {}
        self.unknown_fields: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()
        self.formats: Counter[str] = Counter()
        self.days: Counter[int] = Counter()

    def read(self, batch: Batch) -> None:
        """Count what a batch tells of the reading."""
        self.unknown_fields.update(batch.unknown_fields)
        self.notes.update(batch.notes)
        self.formats[batch.format or "rows"] += len(batch)
        for refused in batch.refused:
            self.refuse(refused)

    @property
    def calls(self) -> int:
        """How many calls were read."""
        return self.formats.total()

    def refuse(self, refused: Refused, times: int = 1) -> None:
        """Count what could not be read."""
        reason = reason_of(refused.why)
        count, example = self.refused.get(reason, (0, refused))
        earlier = min(example, refused, key=lambda row: (row.source, row.line))
        self.refused[reason] = (count + times, earlier)

    def tally(self, name: str) -> Tally:
        """Return the tally of a name; names beyond the limit share one."""
        if name not in self.named and len(self.named) >= self.rules.most_steps:
            name = OTHER
        return self.named.setdefault(name, Tally(self.rules))

    def time(self, whole: Part) -> None:
        """Count the money of each day, and how far the log goes."""
        at_s = whole.numbers["at_s"]
        known = np.isfinite(at_s)
        if not known.any():
            return
        self.first_s = min(self.first_s, float(at_s[known].min()))
        self.last_s = max(self.last_s, float(at_s[known].max()))
        days = np.floor(at_s[known] / _DAY_S).astype(np.int64)
        distinct, which = np.unique(days, return_inverse=True)
        for place, day in enumerate(distinct.tolist()):
            self.days[day] += int(whole.pico[known][which == place].sum())

    def merge(self, other: Sums) -> None:
        """Count what the other counted."""
        places = {place: self._basis(basis) for place, basis in enumerate(other.bases)}
        for name, tally in other.named.items():
            self.tally(name).merge(tally.under(places))
        for key, (found, tally) in other.found.items():
            mine = self.found.setdefault(key, (found, Tally(self.rules)))[1]
            mine.merge(tally.under(places))
        self.learning.merge(other.learning)
        self.first_s = min(self.first_s, other.first_s)
        self.last_s = max(self.last_s, other.last_s)
        for count, example in other.refused.values():
            self.refuse(example, count)
        for name in ("unknown_fields", "notes", "formats", "days"):
            getattr(self, name).update(getattr(other, name))

    def _basis(self, basis: tuple[str, str]) -> int:
        if basis not in self.bases:
            self.bases.append(basis)
        return self.bases.index(basis)


def reason_of(why: str) -> str:
    """Return why a row was refused without the value that it was refused for, so that equal
    reasons count together; the example keeps the value.
    """
    return _VALUE.sub("", why.partition(" (byte")[0])
