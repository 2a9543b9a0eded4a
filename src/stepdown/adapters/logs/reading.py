"""Read a log value by value into batches; a broken value is refused with its line and ends nothing.

It knows no format: what a value means is the reader's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any

import msgspec

from stepdown.adapters.logs.records import Cutting, Unread, values_in
from stepdown.adapters.logs.rows import Row, columns_of
from stepdown.adapters.logs.source import DAMAGE
from stepdown.core.call_columns import Batch, Unpack
from stepdown.core.usage_log import Content, Refused
from stepdown.errors import DataError
from stepdown.ports.log_reader import Log

EXCERPT_CHARS = 80
LOOK_EVERY = 64
BATCH_ROWS = 4096
BATCH_BYTES = 8 << 20

Found = Iterable[tuple[Row, Any]]
Parse = Callable[[bytes, "Reading"], Found]
Cut = Callable[[IO[bytes], bytes], Iterator[Cutting]]


class Reading:
    """What was read since the last batch. `line` is the line of the value that is read now."""

    def __init__(self, log: Log, form: str, unpack: Unpack | None) -> None:
        self.log, self.form, self.unpack = log, form, unpack and forgiving(unpack)
        self.line = 0
        self.lines_before = int(getattr(log, "lines_before", 0))
        self.rows: list[Row] = []
        self.raws: list[Any] = []
        self.refused: list[Refused] = []
        self.notes: Counter[str] = Counter()
        self.unknown: Counter[str] = Counter()
        self.looked = 0
        self.size = 0

    def note(self, text: str) -> None:
        """Count something that the audit should say once."""
        self.notes[text] += 1

    def refuse(self, why: str, shown: bytes = b"") -> None:
        """Count a value that could not be read."""
        self.refused.append(Refused(str(self.log), self.line, why, excerpt(shown)))

    def add(self, found: Found) -> None:
        """Keep what a value holds."""
        for row, raw in found:
            row.line = self.line
            self.rows.append(row)
            self.raws.append(raw)

    def look(self, value: bytes, known: frozenset[str]) -> None:
        """Count the keys of a value that nobody knows."""
        self.looked += 1
        self.unknown.update(_keys(value) - known)

    def is_full(self, batch_rows: int) -> bool:
        """Tell whether a batch is there."""
        return len(self.rows) + len(self.refused) >= batch_rows or self.size >= BATCH_BYTES

    def batch(self) -> Batch:
        """Return what was read, and begin anew."""
        batch = Batch(
            rows=len(self.rows),
            columns=columns_of(self.rows) if self.rows else {},
            raws=self.raws,
            unpack=self.unpack,
            refused=tuple(self.refused),
            unknown_fields=dict(self.unknown),
            looked=self.looked,
            notes=dict(self.notes),
            format=self.form,
            source=self.log.name,
            position=self.log.position,
        )
        self.rows, self.raws, self.refused, self.looked = [], [], [], 0
        self.notes, self.unknown = Counter(), Counter()
        self.size = 0
        return batch

    def rest(self) -> Iterator[Batch]:
        """Yield the last batch, if there is anything to tell."""
        if self.rows or self.refused or self.notes:
            yield self.batch()


def read_values(
    log: Log,
    parse: Parse,
    *,
    form: str,
    unpack: Unpack | None,
    batch_rows: int = BATCH_ROWS,
    known: frozenset[str] = frozenset(),
    cut: Cut = values_in,
) -> Iterator[Batch]:
    """Yield batches of what `parse` makes of each value; one that it refuses is counted.

    `parse` gets a value and the reading, and raises ValueError or msgspec's errors. `known` are a
    value's known keys; every 64th value is looked at for others (by its line, where a log is read
    in several parts).
    """
    reading = Reading(log, form, unpack)
    for number, value in enumerate(values(log, reading, cut), reading.lines_before):
        _parsed(value, parse, reading)
        if known and number % LOOK_EVERY == 0:
            reading.look(value, known)
        if reading.is_full(batch_rows):
            yield reading.batch()
    yield from reading.rest()


def values(log: Log, reading: Reading, cut: Cut = values_in) -> Iterator[bytes]:
    """Yield the values of a log; what cannot be read is refused in the reading.

    Raises:
        DataError: the log cannot be opened.
    """
    head = log.head()
    try:
        with log.open() as stream:
            for found in cut(stream, head):
                if isinstance(found, Unread):
                    reading.line = found.line + reading.lines_before
                    reading.refuse(found.why, found.beginning)
                else:
                    line, value = found
                    reading.line = line + reading.lines_before
                    reading.size += len(value)
                    yield value
    except OSError as error:
        if not isinstance(error, DAMAGE) or error.errno is not None:
            raise DataError(f"{log}: cannot be read: {error}.", "Check the path.") from error
        _ends_early(reading, error)
    except DAMAGE as error:
        _ends_early(reading, error)


def forgiving(unpack: Unpack) -> Unpack:
    """Return an `unpack` for which content of a shape that nobody knows is unknown content.

    The row's figures were read and stand; there is only nothing to say about what was said.
    """

    def unpacked(raw: Any) -> Content:
        try:
            return unpack(raw)
        except (msgspec.MsgspecError, *_STRANGE):
            return Content()

    return unpacked


_STRANGE = (ValueError, TypeError, AttributeError, KeyError, IndexError, RecursionError)


def excerpt(value: bytes) -> str:
    """Return the beginning of a value, for a person to find it."""
    text = value[: EXCERPT_CHARS * 4].decode("utf-8", "replace").strip()
    return text[:EXCERPT_CHARS]


def _ends_early(reading: Reading, error: BaseException) -> None:
    reading.line += 1
    reading.refuse(f"the packed file ends early or is damaged: {error}")


def _parsed(value: bytes, parse: Parse, reading: Reading) -> None:
    try:
        if not value.isascii():
            value.decode()  # what is not asked for yet is checked too
        reading.add(parse(value, reading))
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        if value.strip():
            reading.refuse(_reason(error), value)


def _reason(error: Exception) -> str:
    text = str(error)
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8 (Latin-1? convert it: iconv -f latin1 -t utf-8)"
    return f"not JSON: {text}" if type(error) is msgspec.DecodeError else text


def _keys(value: bytes) -> set[str]:
    try:
        found = msgspec.json.decode(value)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return set()
    return set(found) if isinstance(found, dict) else set()
