"""A generated month of calls for the benchmark of the audit, and what it costs by hand.

Six steps of one desk over two models. Nothing in it is real. Figures of calls are drawn with the
seed below; texts are words of a short list. The price list is written here once more, so that the
bill is checked by arithmetic of its own (OpenAI and Anthropic price pages, November 2026; dollars a
million tokens).
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

import numpy as np

SEED = 20261122
START_S = 1_793_491_200  # 2026-11-01
MONTH_S = 30 * 86_400
PRICES = {  # input, output, cached input
    "gpt-4.1": (Fraction(2), Fraction(8), Fraction(1, 2)),
    "gpt-4.1-mini": (Fraction(2, 5), Fraction(8, 5), Fraction(1, 10)),
}
HOUSE = (
    "order lamp late money please refund parcel address invoice broken again today card never "
    "arrived colour wrong size thanks service week account email number price change cancel"
)
WORDS = HOUSE.split()
BLOCK = 50_000


class Step(NamedTuple):
    """A step: its model and middling tokens."""

    name: str
    model: str
    read: int
    wrote: int
    cached: int
    said: str


STEPS = (
    Step("intent", "gpt-4.1", 420, 4, 256, "Label the intent of the message."),
    Step("urgency", "gpt-4.1-mini", 210, 2, 0, "Say how urgent the message is."),
    Step("extract", "gpt-4.1", 380, 22, 0, "Take out order, product and amount as JSON."),
    Step("draft", "gpt-4.1", 1900, 240, 1024, "Draft a reply to the customer."),
    Step("polish", "gpt-4.1", 700, 230, 0, "Improve the wording of the draft."),
    Step("summary", "gpt-4.1-mini", 2600, 120, 0, "Summarise the conversation."),
)


class Month:
    """Lines of a month's log; `content`: none, short (about 0.7 kB a call) or long (3 kB)."""

    def __init__(self, calls: int, content: str = "none", *, named: bool = True) -> None:
        self.calls, self.content, self.named = calls, content, named
        self.tokens = np.zeros((len(STEPS), 3), dtype=np.int64)  # read, wrote, cached

    def lines(self) -> Iterator[bytes]:
        """Yield the lines in blocks."""
        rng = np.random.default_rng(SEED)
        for first in range(0, self.calls, BLOCK):
            yield self._block(rng, first, min(BLOCK, self.calls - first))

    def usd(self) -> Fraction:
        """Return what the lines that were yielded cost by hand."""
        total = Fraction(0)
        for step, (read, wrote, cached) in zip(STEPS, self.tokens.tolist(), strict=True):
            fresh, out, kept = PRICES[step.model]
            total += (read - cached) * fresh + wrote * out + cached * kept
        return total / 10**6

    def _block(self, rng: np.random.Generator, first: int, size: int) -> bytes:
        number = np.arange(first, first + size)
        place = number % len(STEPS)
        middle = np.array([step[2:5] for step in STEPS])[place]
        read = middle[:, 0] + rng.integers(0, 60, size)
        wrote = middle[:, 1] + rng.integers(0, 9, size)
        cached = middle[:, 2] * (rng.random(size) < 0.7)
        np.add.at(self.tokens, place, np.stack([read, wrote, cached], axis=1))
        at_s = START_S + number * (MONTH_S / self.calls)
        latency = np.round(rng.lognormal(0, 0.6, size), 3)
        said, answers = self._texts(rng, place)
        columns = (number, place, at_s, latency, read, wrote, cached)
        rows = zip(*(column.tolist() for column in columns), said, answers, strict=True)
        return b"".join([_line(row, named=self.named) for row in rows])

    def _texts(self, rng: np.random.Generator, place: np.ndarray) -> tuple[list[str], list[str]]:
        size = len(place)
        if self.content == "none":
            return [""] * size, [""] * size
        words = {"short": 30, "long": 120}[self.content]
        house = HOUSE * (6 if self.content == "long" else 0)
        drawn = rng.integers(0, len(WORDS), (size, words))
        names = np.array(WORDS, dtype=object)
        said, answers = [], []
        for row, step in zip(names[drawn], place.tolist(), strict=True):
            text = " ".join(row.tolist())
            system = f"{STEPS[step].said} {house}".strip()
            said.append(
                f', "messages": [{{"role": "system", "content": "{system}"}}, '
                f'{{"role": "user", "content": "{text}"}}]'
            )
            answer = row[0] if step < 2 else text[: len(text) // 2]
            answers.append(f'"message": {{"role": "assistant", "content": "{answer}"}}, ')
        return said, answers


def _line(row: tuple[object, ...], *, named: bool) -> bytes:
    number, place, at_s, latency, read, wrote, cached, said, answer = row
    step = STEPS[place]  # type: ignore[call-overload]
    name = f'"step": "{step.name}", ' if named else ""
    return (
        f'{{"id": "call-{number}", "timestamp": {at_s:.3f}, "metadata": {{{name}'
        f'"message_id": "m{number // len(STEPS)}"}}, "latency_s": {latency}, '  # type: ignore[operator]
        f'"request": {{"model": "{step.model}", "max_tokens": 500{said}}}, '
        f'"response": {{"id": "r{number}", "model": "{step.model}", "choices": '
        f'[{{{answer}"finish_reason": "stop"}}], "usage": {{"prompt_tokens": {read}, '
        f'"completion_tokens": {wrote}, "prompt_tokens_details": {{"cached_tokens": {cached}}}'
        "}}}\n"
    ).encode()
