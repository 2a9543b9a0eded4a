"""Many rows of a usage log as columns: the form in which readers hand calls to the audit.

Numbers are float64 arrays where NaN is unknown (never 0; tokens stay exact up to 2**53). Names that
repeat are dictionary-encoded words. What was said stays as the log wrote it until somebody asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from math import isnan
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from stepdown.core.request import Usage
from stepdown.core.usage_log import Content, LoggedCall, Refused

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]

# What a log may know of a call, by the form of its column.
NUMBERS = (
    "at_s",  # seconds since 1970, UTC
    "input_tokens",  # all that were read, with those that a cache gave or took
    "output_tokens",  # all that were written, with reasoning
    "cached_tokens",  # of the input: given by a cache
    "cache_write_tokens",  # of the input: written to a cache, of any lifetime
    "cache_write_1h_tokens",  # of those: to a cache that lives an hour (dearer)
    "reasoning_tokens",  # of the output
    "cost_usd",  # as the log reports it
    "latency_s",
    "first_token_s",
    "max_tokens",
    "temperature",
    "choices",  # how many answers were asked for (n)
    "stream",  # 1 or 0
    "tools",  # how many functions were offered
    "tools_bytes",  # the size of their definitions
    "tool_calls",  # how many the answer holds
    "retries",  # tries before this one that the log itself counted
    "from_cache",  # 1: a gateway's own cache answered; nobody was asked
    "estimated",  # 1: the log itself says that its token counts are estimates
    "line",
)
WORDS = (
    "provider",
    "model",  # that answered, else that was asked
    "asked_model",
    "step",
    "step_rule",
    "processing",  # standard, batch, flex, priority; unknown where the log does not say
    "kind",  # chat, embeddings, completion, image, ...
    "status",  # ok, error
    "error",  # its kind, in the log's words
    "finish",  # why the answer ended, in the log's words
    "effort",  # how much reasoning was asked for
    "shape",  # text, json_object, json_schema: what the caller asked the answer to be
    "tool_names",  # sorted, joined by commas
    "tags",  # joined by commas
    "prompt",  # name of a managed prompt
    "user",
)
TEXTS = ("id", "session", "trace", "parent")
FIELDS = frozenset((*NUMBERS, *WORDS, *TEXTS))
UNKNOWN = -1


class Words(Struct, frozen=True):
    """A column of names: `codes` point into `names`; -1 is unknown. It reads like a sequence."""

    codes: Codes
    names: tuple[str, ...]

    @classmethod
    def of(cls, values: Iterable[str | None]) -> Words:
        """Encode values, in the order of their first appearance."""
        known: dict[str | None, int] = {None: UNKNOWN}
        codes = [known.setdefault(value, len(known) - 1) for value in values]
        names = tuple(name for name in known if name is not None)
        return cls(np.asarray(codes, dtype=np.int32), names)

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, index: int) -> str | None:
        code = self.codes[index]
        return None if code == UNKNOWN else self.names[code]

    def __iter__(self) -> Iterator[str | None]:
        every = (*self.names, None)  # -1 is the last
        return (every[code] for code in self.codes.tolist())


Column = Floats | Words | Sequence[str | None]
Unpack = Callable[[Any], Content]


class Batch(Struct, frozen=True, kw_only=True):
    """Some rows of a log as columns, by the names above; a field that nobody told has no column.

    `raws` hold what the log says of each row, and `unpack` turns one into its content; without
    it the format has none. `unknown_fields` are counted over the `looked` rows that were looked at
    for them. `format` names what was read, `source` the file. `notes` are what a reader wants said
    once, with how many rows it concerns. `position` is how far in the file (packed bytes) reading
    is, for a progress bar.
    """

    rows: int = 0
    columns: Mapping[str, Column] = {}
    raws: Sequence[Any] | None = None
    unpack: Unpack | None = None
    refused: Sequence[Refused] = ()
    unknown_fields: Mapping[str, int] = {}
    looked: int = 0
    notes: Mapping[str, int] = {}
    format: str = ""
    source: str = ""
    position: int = 0

    def __post_init__(self) -> None:
        """Refuse columns that are unknown or of another length."""
        if unknown := set(self.columns) - FIELDS:
            raise ValueError(f"a batch has unknown columns: {sorted(unknown)}")
        if any(len(column) != self.rows for column in self.columns.values()):
            raise ValueError("the columns of a batch differ in length")

    @classmethod
    def of(cls, calls: Iterable[LoggedCall], refused: Sequence[Refused] = ()) -> Batch:
        """Return calls as columns."""
        rows = list(calls)
        return cls(
            rows=len(rows),
            columns=columns_of([_flat(call) for call in rows]),
            raws=rows,
            unpack=_content,
            refused=refused,
        )

    def __len__(self) -> int:
        return self.rows

    def numbers(self, name: str) -> Floats:
        """Return a column of numbers, all unknown where the log has none."""
        column = self.columns.get(name)
        if column is None:
            return np.full(self.rows, np.nan)
        return column  # type: ignore[return-value]

    def words(self, name: str) -> Words:
        """Return a column of names, all unknown where the log has none."""
        column = self.columns.get(name)
        if column is None:
            return Words(np.full(self.rows, UNKNOWN, dtype=np.int32), ())
        return column  # type: ignore[return-value]

    def texts(self, name: str) -> Sequence[str | None]:
        """Return a column of ids, all unknown where the log has none."""
        return self.columns.get(name) or [None] * self.rows  # type: ignore[return-value]

    def content(self, row: int) -> Content:
        """Return what was said in a row: decoded now, and not kept."""
        if self.raws is None or self.unpack is None:
            return Content()
        return self.unpack(self.raws[row])

    def place(self, row: int) -> str:
        """Return where a row stands, for a person to find it."""
        lines = self.columns.get("line")
        return self.source if lines is None else f"{self.source}:{int(lines[row])}"  # type: ignore[arg-type]

    def calls(self, *, content: bool = True) -> Iterator[LoggedCall]:
        """Yield the rows one by one, with what was said unless nobody wants it."""
        columns = {name: _plain(column) for name, column in self.columns.items()}
        names = list(columns)
        told = zip(*columns.values(), strict=True) if names else iter([()] * self.rows)
        for row, values in enumerate(told):
            said = self.content(row) if content else Content()
            yield _call(dict(zip(names, values, strict=True)), said, self.place(row))


def columns_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, Column]:
    """Return rows ({field: value}, None or left out is unknown) as columns."""
    found = {name: [row.get(name) for row in rows] for name in FIELDS}
    return {
        name: column(name, values)
        for name, values in found.items()
        if values.count(None) < len(values)
    }


def column(name: str, values: Sequence[Any]) -> Column:
    """Return the values of one field as its column; None is unknown."""
    if name in _NUMBERS:
        return np.array(values, dtype=np.float64)  # None becomes NaN
    return Words.of(values) if name in _WORDS else values


_NUMBERS, _WORDS = frozenset(NUMBERS), frozenset(WORDS)
_TOKENS = (
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "reasoning_tokens",
)
_SAME = (
    "provider",
    "model",
    "step",
    "step_rule",
    "session",
    "trace",
    "parent",
    "latency_s",
    "first_token_s",
    "cost_usd",
    "processing",
    "error",
    "finish",
)


def _plain(found: Column) -> Iterable[Any]:
    if isinstance(found, np.ndarray):
        return (None if isnan(value) else value for value in found.tolist())
    return found


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _call(told: Mapping[str, Any], said: Content, place: str) -> LoggedCall:
    at_s = told.get("at_s")
    return LoggedCall(
        id=told.get("id") or place,
        at=None if at_s is None else iso(at_s),
        messages=said.messages,
        answer=said.answer,
        usage=Usage(
            **{name: _whole(told.get(name)) for name in _TOKENS},
            estimated=bool(told.get("estimated")),
        ),
        status=told.get("status") or "ok",
        tools=int(told.get("tools") or 0),
        max_tokens=_whole(told.get("max_tokens")),
        metadata=said.metadata,
        source=place,
        **{name: told.get(name) for name in _SAME},
    )


def _flat(call: LoggedCall) -> dict[str, Any]:
    told: dict[str, Any] = {name: getattr(call, name) for name in _SAME}
    told |= {name: getattr(call.usage, name) for name in _TOKENS}
    return told | {
        "id": call.id,
        "at_s": None if call.at is None else datetime.fromisoformat(call.at).timestamp(),
        "estimated": 1 if call.usage.estimated else None,
        "status": call.status,
        "tools": call.tools,
        "max_tokens": call.max_tokens,
    }


def _content(call: LoggedCall) -> Content:
    return Content(messages=call.messages, answer=call.answer, metadata=call.metadata)


def iso(at_s: float) -> str:
    """Return seconds since 1970 as ISO 8601 in UTC."""
    return datetime.fromtimestamp(at_s, UTC).isoformat().replace("+00:00", "Z")
