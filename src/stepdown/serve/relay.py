"""An answer on its way to the caller while it is written. It decides nothing."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

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
            chunk = self._without_edges(chunk)
        if not chunk.adds and not (self.began and _tells_the_end(chunk)):
            return
        if self.first_byte_at is None:
            self.first_byte_at = self._seconds()
            await self._sink.begin(opening())
        await self._sink.piece(chunk)

    def _without_edges(self, chunk: Chunk) -> Chunk:
        texts = self._trimmed(chunk.texts or (chunk.text,))
        kept = tuple(texts) if len(texts) > 1 else ()
        return replace(chunk, text="".join(texts), texts=kept, logprobs=())

    def _trimmed(self, pieces: tuple[str, ...]) -> list[str]:
        """Return what can be sent now: white space waits until more text follows it."""
        said: list[str] = []
        for piece in pieces:
            text = self._held + piece if self.began or said else piece.lstrip()
            kept = text.rstrip()
            self._held = text[len(kept) :]
            if kept:
                said.append(kept)
        return said


def _tells_the_end(chunk: Chunk) -> bool:
    return chunk.finish_reason is not None or chunk.usage is not None
