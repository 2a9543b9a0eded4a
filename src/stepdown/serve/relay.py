"""An answer on its way to the caller while it is written. It decides nothing."""

from __future__ import annotations

from collections.abc import Callable

from stepdown.core.call import Reply
from stepdown.core.request import Chunk
from stepdown.ports.handler import Sink

Opening = Callable[[], Reply]


class Relay:
    """Hand pieces on to a sink, white space around the whole answer left out.

    With `verbatim` nothing is left out. `began` says whether the caller has seen anything: from
    then on no other answer can be sent. `first_byte_at` is when that was.
    """

    def __init__(self, sink: Sink, seconds: Callable[[], float], *, verbatim: bool) -> None:
        self._sink = sink
        self._seconds = seconds
        self._verbatim = verbatim
        self._held = ""
        self.first_byte_at: float | None = None

    @property
    def began(self) -> bool:
        """Whether the caller has seen anything."""
        return self.first_byte_at is not None

    async def take(self, chunk: Chunk, opening: Opening) -> None:
        """Hand on one piece; the first one is preceded by the reply as far as it is known."""
        if not self._verbatim:
            chunk = Chunk(text=self._trimmed(chunk.text), tools=chunk.tools)
        if not (chunk.text or chunk.tools or chunk.logprobs):
            return
        if not self.began:
            self.first_byte_at = self._seconds()
            await self._sink.begin(opening())
        await self._sink.piece(chunk)

    def _trimmed(self, text: str) -> str:
        """Return what can be sent now: white space waits until more text follows it."""
        if not text:
            return ""
        text = self._held + text if self.began else text.lstrip()
        said = text.rstrip()
        self._held = text[len(said) :]
        return said
