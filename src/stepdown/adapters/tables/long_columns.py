"""From one row an outcome to one entry a query: the arrays of a panel out of long columns.

It knows the columns of the outcome table, and nothing of files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from stepdown.adapters.tables.columns import Batch, Unread, numbers, size_of, texts
from stepdown.adapters.tables.outcome_files import COLUMNS, NEEDED, NUMBERS, SIGNAL
from stepdown.adapters.tables.paired_files import Query
from stepdown.core.answers import answer_key
from stepdown.core.outcome import BOUGHT
from stepdown.core.replay_array import UNKNOWN, Codes, Floats, Panel

Ints: TypeAlias = NDArray[np.intp]
Texts: TypeAlias = list[str | None]
OF_QUERY = ("group", "prompt", "segment", "truth")


class LongColumns:
    """The columns read so far: codes of queries and tiers, and a block of cells for each batch."""

    def __init__(self, queries: Mapping[str, Query | None] | None) -> None:
        self.queries = queries
        self.ids: dict[str, int] = {}
        self.tiers: dict[str, int] = {}
        self.failures: dict[str | None, int] = {None: 0}
        self.said: dict[str, str] = {}
        self.size = 0
        self.codes: dict[str, list[Ints]] = {"query": [], "tier": [], "failure": []}
        self.numbers: dict[str, list[tuple[int, Floats]]] = {}
        self.answers: Texts = []
        self.of_query: dict[str, Texts] = {name: [] for name in OF_QUERY}

    def add(self, batch: Batch) -> None:
        """Take a batch whose columns have the names of the outcome table."""
        unknown = [n for n in batch if n not in COLUMNS and not n.startswith(SIGNAL)]
        if unknown or not set(NEEDED) <= set(batch):
            raise Unread("columns")
        said = {n: texts(column) for n, column in batch.items() if _is_text(n)}
        values = {n: numbers(column) for n, column in batch.items() if not _is_text(n)}
        _check(values)
        if None in said["query_id"] or None in said["tier"]:
            raise Unread("an empty name")
        kept = self._known(said["query_id"])
        if kept is not None:
            said = {n: [column[i] for i in kept] for n, column in said.items()}
            values = {n: column[kept] for n, column in values.items()}
        self._append(said, values, size_of(said))

    def _known(self, ids: Texts) -> list[int] | None:
        """Return the rows whose query is not left out, None where all are kept."""
        if self.queries is None:
            return None
        if any(query not in self.queries for query in ids):
            raise Unread("a query that the pair does not have")
        return [i for i, query in enumerate(ids) if self.queries[query or ""] is not None]

    def _append(self, said: Mapping[str, Texts], values: Mapping[str, Floats], n: int) -> None:
        codes = _coded(said["query_id"], self.ids)
        self.codes["query"].append(codes)
        self.codes["tier"].append(_coded(said["tier"], self.tiers))
        nothing: Texts = [None] * n
        self.codes["failure"].append(_coded(said.get("failure", nothing), self.failures))
        for name, column in values.items():
            self.numbers.setdefault(name, []).append((self.size, column))
        same = self.said.setdefault
        self.answers += [a and same(a, a) for a in said.get("answer", nothing)]
        for name, found in self.of_query.items():
            found.extend([None] * (len(self.ids) - len(found)))
            _note_first(found, codes, said.get(name))
        self.size += n

    def panel(self, keep: Callable[[str], bool]) -> Panel:
        """Return the panel of the rows of some tiers."""
        self._add_queries()
        query, tier = (np.concatenate([*self.codes[n], _NONE]) for n in ("query", "tier"))
        if np.unique(query * max(1, len(self.tiers)) + tier).size != query.size:
            raise Unread("an outcome stands there twice")
        return _Pivot(self, query, tier, keep).panel()

    def _add_queries(self) -> None:
        for query, place in self.ids.items() if self.queries is not None else ():
            known = (self.queries or {})[query]
            for name in OF_QUERY if known is not None else ():
                self.of_query[name][place] = getattr(known, name)

    def column(self, name: str) -> Floats:
        """Return a column of numbers over all rows, NaN where it was not there."""
        whole = np.full(self.size, np.nan)
        for start, part in self.numbers.get(name, ()):
            whole[start : start + part.size] = part
        return whole


_NONE: Ints = np.empty(0, dtype=np.intp)


def _is_text(name: str) -> bool:
    return name not in NUMBERS and not name.startswith(SIGNAL)


def _check(values: Mapping[str, Floats]) -> None:
    """Refuse what an Outcome refuses: a score outside 0..1, a negative amount."""
    for name in set(values) & set(NUMBERS):
        column = values[name]
        if (column < 0).any() or (name == "score" and (column > 1).any()):
            raise Unread(name)


def _coded(column: Texts, places: dict[Any, int]) -> Ints:
    """Return the place of each text, in order of first appearance."""
    return np.array([places.setdefault(text, len(places)) for text in column], dtype=np.intp)


def _note_first(found: Texts, codes: Ints, column: Texts | None) -> None:
    for place, text in zip(codes.tolist(), column or (), strict=False):
        if text is not None and found[place] is None:
            found[place] = text


class _Pivot:
    """From one row an outcome to one entry a query."""

    def __init__(
        self, table: LongColumns, query: Ints, tier: Ints, keep: Callable[[str], bool]
    ) -> None:
        self.table = table
        names = list(table.tiers)
        mine = np.array([keep(name) for name in names], dtype=bool)
        rows = np.flatnonzero(mine[tier]) if tier.size else _NONE
        self.queries = _first_seen(query[rows])
        places = np.zeros(len(table.ids), dtype=np.intp)
        places[self.queries] = np.arange(self.queries.size)
        self.place = places[query]
        self.failed = np.concatenate([*table.codes["failure"], _NONE])
        ordered = rows[np.argsort(self.place[rows], kind="stable")]
        here = tier[ordered]
        self.rows = {names[t]: ordered[here == t] for t in _first_seen(here)}

    def panel(self) -> Panel:
        table, ids = self.table, list(self.table.ids)
        answering = [tier for tier in self.rows if not tier.startswith(BOUGHT)]
        kinds = self._kinds()
        failure = {tier: self._failure(rows, kinds) for tier, rows in self.rows.items()}
        down = kinds.get("unavailable", UNKNOWN)
        return Panel(
            query_ids=tuple(ids[q] for q in self.queries),
            score=self._spread(table.column("score")),
            cost_usd=self._spread(table.column("cost_usd")),
            latency_s=self._spread(table.column("latency_s")),
            available={t: self._present(rows) & (failure[t] != down) for t, rows in self._each()},
            failure=failure,
            signals=self._signals(),
            failures=tuple(kinds),
            answers=self._answers(answering),
            texts={tier: self._texts(self.rows[tier]) for tier in answering},
            groups=self._of_query("group"),
            prompts=self._of_query("prompt"),
            segments=self._of_query("segment"),
            truths=self._of_query("truth"),
        )

    def _each(self) -> Iterable[tuple[str, Ints]]:
        return self.rows.items()

    def _spread(self, column: Floats) -> dict[str, Floats]:
        return {tier: self._entries(column, rows) for tier, rows in self._each()}

    def _entries(self, column: Floats, rows: Ints) -> Floats:
        found = np.full(self.queries.size, np.nan)
        found[self.place[rows]] = column[rows]
        return found

    def _present(self, rows: Ints) -> NDArray[np.bool_]:
        found = np.zeros(self.queries.size, dtype=bool)
        found[self.place[rows]] = True
        return found

    def _kinds(self) -> dict[str, int]:
        """Return the kinds of failure that occur, in the order that a panel has them."""
        names = list(self.table.failures)
        used = {names[code] for rows in self.rows.values() for code in np.unique(self.failed[rows])}
        kinds = sorted(kind for kind in used if kind is not None)
        return {kind: place for place, kind in enumerate(("", *kinds))}

    def _failure(self, rows: Ints, kinds: Mapping[str, int]) -> Codes:
        places = [kinds.get(kind or "", 0) for kind in self.table.failures]
        found = np.zeros(self.queries.size, dtype=np.int32)
        found[self.place[rows]] = np.array(places, dtype=np.int32)[self.failed[rows]]
        return found

    def _signals(self) -> dict[str, Floats]:
        columns = sorted(name for name in self.table.numbers if name.startswith(SIGNAL))
        named = [pair for name in columns for pair in self._signal(name.removeprefix(SIGNAL))]
        named += [
            pair for tier in self.rows if tier.startswith(BOUGHT) for pair in self._bought(tier)
        ]
        if len({name for name, _ in named}) < len(named):
            raise Unread("two signals of one name")
        return dict(sorted(named))

    def _signal(self, name: str) -> Iterable[tuple[str, Floats]]:
        column = self.table.column(f"{SIGNAL}{name}")
        for tier, rows in self._each():
            if not tier.startswith(BOUGHT) and not np.isnan(column[rows]).all():
                yield f"{tier}.{name}", self._entries(column, rows)

    def _bought(self, tier: str) -> Iterable[tuple[str, Floats]]:
        column = self.table.column(f"{SIGNAL}value")
        yield tier.removeprefix(BOUGHT), self._entries(column, self.rows[tier])

    def _answers(self, tiers: Sequence[str]) -> dict[str, Codes]:
        """Code every usable answer by its key; a text that comes again is not read again."""
        keys: dict[str, int] = {}
        known: dict[str, int] = {}
        found = {}
        for tier in tiers:
            codes = np.full(self.queries.size, UNKNOWN, dtype=np.int32)
            rows = self.rows[tier]
            for row in rows[self.failed[rows] == 0]:
                said = self.table.answers[row]
                if said is not None:
                    if said not in known:
                        known[said] = keys.setdefault(answer_key(said), len(keys))
                    codes[self.place[row]] = known[said]
            found[tier] = codes
        return found

    def _texts(self, rows: Ints) -> tuple[str | None, ...]:
        found: Texts = [None] * self.queries.size
        for place, row in zip(self.place[rows].tolist(), rows.tolist(), strict=True):
            found[place] = self.table.answers[row]
        return tuple(found)

    def _of_query(self, name: str) -> tuple[str | None, ...]:
        column = self.table.of_query[name]
        return tuple(column[q] for q in self.queries)


def _first_seen(codes: Ints) -> Ints:
    """Return the different codes in order of first appearance."""
    found, first = np.unique(codes, return_index=True)
    return found[np.argsort(first)]
