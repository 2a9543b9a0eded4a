"""Server-sent events: bytes in, the data of whole events out. It does not know what is in them.

Source: WHATWG HTML Living Standard, section 9.2.6 "Interpreting an event stream" (2026-11). The
names and ids of events are dropped: both wires repeat what matters inside the data.
"""

from __future__ import annotations


class EventParser:
    """Collect pieces of a stream into events.

    An event that no empty line ends is never handed out, because it may be cut.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []

    def feed(self, piece: bytes) -> list[bytes]:
        """Return the data of the events that this piece completes, in order."""
        text = self._rest + piece
        if b"\r" not in text and not self._data:
            *blocks, self._rest = text.split(b"\n\n")
            return [event for block in blocks for event in self._taken(block)]
        held = b"\r" if text.endswith(b"\r") else b""  # its line feed may come with the next piece
        text = text[: len(text) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = text.split(b"\n")
        self._rest = rest + held
        return [event for line in lines if (event := self._take(line)) is not None]

    def _taken(self, block: bytes) -> list[bytes]:
        """Return the data of an event that is all there: nearly always of one line."""
        if block.startswith(b"data: ") and b"\n" not in block:
            return [block[6:]]
        lines = [*block.split(b"\n"), b""]
        return [event for line in lines if (event := self._take(line)) is not None]

    def _take(self, line: bytes) -> bytes | None:
        if not line:
            event, self._data = self._data, []
            return b"\n".join(event) if event else None
        field, _, value = line.partition(b":")
        if field.removeprefix(b"\xef\xbb\xbf") == b"data":
            self._data.append(value.removeprefix(b" "))
        return None
