"""Cut a log into JSON values with their lines: one a line, the items of an array, or the items of
a list inside a document ({"data": [...]}), pretty-printed or not. Memory is bounded by one value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO, Any

import msgspec
from msgspec import Struct

from stepdown.adapters.logs.source import UTF8_MARK

LONGEST_BYTES = 64 << 20
LOOK_AT = 20
PIECE_BYTES = 1 << 18
# Under which names the documents of exports keep their list of calls.
LISTS = frozenset(
    (
        b"data",
        b"items",
        b"results",
        b"runs",
        b"traces",
        b"observations",
        b"logs",
        b"records",
        b"spans",
        b"requests",
        b"resourceSpans",
        b"batches",
    )
)
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\]"]', re.DOTALL)
_STRING_END = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)


class Unread(Struct, frozen=True):
    """A value that could not be read: its line, why, and how it begins."""

    line: int
    why: str
    beginning: bytes = b""


TOO_LONG = f"longer than {LONGEST_BYTES >> 20} MiB"
NOT_WHOLE = "the file ends in the middle of a JSON value"
Cutting = tuple[int, bytes] | Unread


def first_objects(head: bytes) -> list[dict[str, Any]]:
    """Return the JSON objects near the start of a log (at most 20); skip broken ones."""
    if is_document(head):
        cut = Documents()
        values = [found for found in cut.feed(head) if isinstance(found, tuple)]
        lines = [value for _, value in values[:LOOK_AT]]
    else:
        lines = head.split(b"\n")[:LOOK_AT]
    decoded = (_decoded(line) for line in lines)
    return [value for value in decoded if isinstance(value, dict)]


def is_document(head: bytes) -> bool:
    """Tell whether a log is one document (or several) rather than one value a line."""
    start = head.lstrip()
    if start[:1] == b"[":
        return True
    if start[:1] != b"{":
        return False
    line, newline, _ = start.partition(b"\n")
    value = _decoded(line)
    if isinstance(value, dict):
        return _holds_list(value)
    return not newline or line.rstrip()[-1:] in b"{[,"


def values_in(stream: IO[bytes], head: bytes) -> Iterator[Cutting]:
    """Yield each value with its line, and what could not be read."""
    return _documents(stream) if is_document(head) else _lines(stream)


def _lines(stream: IO[bytes]) -> Iterator[Cutting]:
    number = 0
    while line := stream.readline(LONGEST_BYTES):
        number += 1
        if len(line) == LONGEST_BYTES and not line.endswith(b"\n"):
            _skip_line(stream)
            yield Unread(number, TOO_LONG, line[:400])
        elif number == 1:
            yield number, line.removeprefix(UTF8_MARK)
        else:
            yield number, line


def _skip_line(stream: IO[bytes]) -> None:
    while (rest := stream.readline(PIECE_BYTES)) and not rest.endswith(b"\n"):
        pass


def _documents(stream: IO[bytes]) -> Iterator[Cutting]:
    cut = Documents()
    while piece := stream.read(PIECE_BYTES):
        yield from cut.feed(piece)
    yield from cut.end()


class Documents:
    """Cut concatenated JSON documents into their objects, piece by piece."""

    def __init__(self) -> None:
        self._kept = b""
        self._at = 0  # where in what is kept scanning goes on
        self._line = 1  # the line where what is kept begins
        self._depth = 0
        self._level = 0  # objects that begin at this depth are values
        self._start: int | None = None
        self._key = b""
        self._skipping = self._in_string = False
        self._string = 0  # where a string began that is not whole yet

    def feed(self, piece: bytes) -> Iterator[Cutting]:
        """Yield the values that end in this piece."""
        self._kept += piece
        if self._in_string and not self._string_ends():
            yield from self._forget()
            return
        for token in _TOKEN.finditer(self._kept, self._at):
            text = token[0]
            if text == b'"':  # a string that goes on in the next piece
                self._string = token.start()
                self._at, self._in_string = self._open_end(), True
                break
            self._at = token.end()
            yield from self._token(text, token)
        else:
            self._at = len(self._kept)
        yield from self._forget()

    def end(self) -> Iterator[Cutting]:
        """Yield what is left unread at the end."""
        if self._start is not None or self._depth:
            at = self._start or 0
            line = self._line + self._kept.count(b"\n", 0, at)
            yield Unread(line, NOT_WHOLE, self._kept[at : at + 400])

    def _token(self, text: bytes, token: re.Match[bytes]) -> Iterator[Cutting]:
        if text[:1] == b'"':
            self._key = text[1:-1] if self._depth == 1 else b""
        elif text in b"{[":
            self._open(text, token.start())
        else:
            yield from self._close(token.end())

    def _open(self, text: bytes, at: int) -> None:
        lists = self._depth == 0 or (self._depth == 1 and self._level == 0 and self._key in LISTS)
        if text == b"[" and lists:
            self._level, self._start = self._depth + 1, None
        elif text == b"{" and self._depth == self._level:
            self._start = at
        self._depth += 1

    def _close(self, end: int) -> Iterator[Cutting]:
        self._depth = max(0, self._depth - 1)
        if self._depth < self._level:
            self._level = 0 if self._depth == 0 else -1  # the rest of this document holds no values
        if self._depth == 0:
            self._level = 0
        if self._depth != self._level or self._start is None:
            return
        start, self._start = self._start, None
        if self._skipping:
            self._skipping = False
            return
        yield self._line + self._kept.count(b"\n", 0, start), self._kept[start:end]

    def _forget(self) -> Iterator[Cutting]:
        """Let go of what was read; a value that grows beyond the limit is passed over."""
        keep_from = self._at if self._start is None or self._skipping else self._start
        if len(self._kept) - keep_from > LONGEST_BYTES:
            line = self._line + self._kept.count(b"\n", 0, keep_from)
            yield Unread(line, TOO_LONG, self._kept[keep_from : keep_from + 400])
            self._skipping = True
            keep_from = self._at
        self._line += self._kept.count(b"\n", 0, keep_from)
        self._kept = self._kept[keep_from:]
        self._at -= keep_from
        self._string = max(0, self._string - keep_from)
        if self._start is not None:
            self._start = max(0, self._start - keep_from)

    def _open_end(self) -> int:
        """Return up to where an open string was read: never between a backslash and its sign."""
        signs = len(self._kept) - len(self._kept.rstrip(b"\\"))
        return len(self._kept) - signs % 2

    def _string_ends(self) -> bool:
        """Go on in a string that began in an earlier piece; tell whether it ends in this one."""
        found = _STRING_END.match(self._kept, self._at)
        if found is None:
            self._at = self._open_end()
            return False
        self._in_string, self._at = False, found.end()
        if not self._skipping and self._depth == 1:
            self._key = self._kept[self._string + 1 : self._at - 1]
        return True


def _holds_list(value: dict[str, Any]) -> bool:
    if "model" in value or "resourceSpans" in value or "custom_id" in value:
        return False
    lists = (value.get(name.decode()) for name in LISTS)
    return any(isinstance(found, list) and found and isinstance(found[0], dict) for found in lists)


def _decoded(line: bytes) -> Any:
    try:
        return msgspec.json.decode(line)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
