"""Reads the events of one generation: text, tokens with log-probabilities, usage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Event
from typing import Any

from stepdown.adapters.models.llama.fields import Piece
from stepdown.core.request import Request, TokenLogprob, Usage

Send = Callable[[str, tuple[TokenLogprob, ...]], None]


class Writing:
    """Collects the events of one generation."""

    def __init__(
        self, stop: Event, send: Send, clock: Callable[[], float], request: Request
    ) -> None:
        self._stop = stop
        self._send = send
        self._clock = clock
        self._request = request
        self._texts: list[str] = []
        self.pieces: list[Piece] = []
        self.usage = Usage()
        self.finish_reason = "stop"
        self.began: float | None = None

    @property
    def text(self) -> str:
        """What was written so far."""
        return "".join(self._texts)

    @property
    def logprobs(self) -> tuple[TokenLogprob, ...]:
        """Every token with its log-probability."""
        return tuple(_token(piece) for piece in self.pieces)

    def receive(self, event: Mapping[str, Any]) -> bool:
        """Take one event in; return True to stop."""
        if event.get("usage"):
            self.usage = read_usage(event)
        for choice in event.get("choices", ()):
            self._take(choice)
        return self._stop.is_set()

    def _take(self, choice: Mapping[str, Any]) -> None:
        if choice["text"] or choice.get("logprobs"):
            self._take_text(choice["text"], choice.get("logprobs") or {})
        self.finish_reason = choice.get("finish_reason") or self.finish_reason

    def _take_text(self, text: str, logprobs: Mapping[str, Any]) -> None:
        self.began = self._clock() if self.began is None else self.began
        entries = logprobs.get("content") or ()
        fresh = [_piece(entry, self._request.top_logprobs) for entry in entries]
        self.pieces += fresh
        self._texts.append(text)
        told = tuple(_token(piece) for piece in fresh) if self._request.logprobs else ()
        self._send(text, told)


def _piece(entry: Mapping[str, Any], top: int) -> Piece:
    best = tuple((other["token"], other["logprob"]) for other in entry["top_logprobs"][:top])
    return Piece(data=bytes(entry["bytes"]), logprob=entry["logprob"], top=best)


def _token(piece: Piece) -> TokenLogprob:
    return TokenLogprob(piece.data.decode(errors="replace"), piece.logprob, piece.top)


def read_usage(answer: Mapping[str, Any]) -> Usage:
    """Return the tokens that the server counted."""
    counted = answer["usage"]
    return Usage(
        input_tokens=counted["prompt_tokens"],
        output_tokens=counted["completion_tokens"],
        cached_tokens=counted.get("prompt_tokens_details", {}).get("cached_tokens"),
    )
