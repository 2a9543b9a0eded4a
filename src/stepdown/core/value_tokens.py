"""Which tokens of an answer carry its value: the words of a label, the values of a JSON object.

Braces, quotes and field names say how a model likes to write, not whether it is right, so their
probability is left out. It knows tokens with log-probabilities, not which tier wrote them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from functools import cache

from stepdown.core.request import TokenLogprob

Piece = tuple[int, float]  # the length of a token, its natural log-probability


def field_logprobs(
    text: str, pieces: Sequence[Piece], *, in_bytes: bool = False
) -> dict[str, tuple[float, ...]]:
    """Return field -> log-probabilities of the tokens of its value, without its quotes.

    `text` is the tokens joined; their lengths are in characters, or `in_bytes` of UTF-8. Only the
    top level of the first JSON object counts. Empty when the text holds no whole object.
    """
    try:
        spans = list(_value_spans(text))
    except (ValueError, IndexError, RecursionError):
        return {}
    if in_bytes and not text.isascii():
        spans = [(n, len(text[:a].encode()), len(text[:b].encode())) for n, a, b in spans]
    return _within(pieces, spans)


Span = tuple[str, int, int]
_decode = json.JSONDecoder().raw_decode


def _value_spans(text: str) -> Iterator[Span]:
    """Yield each top-level field with the range of its value, in characters."""
    at = _skip(text, text.index("{") + 1, "")
    while text[at] != "}":
        name, at = _decode(text, at)
        start = _skip(text, at, ":")
        value, end = _decode(text, start)
        quote = 1 if isinstance(value, str) and value else 0
        yield name, start + quote, end - quote
        at = _skip(text, end, ",")


def _skip(text: str, at: int, also: str) -> int:
    while text[at] in " \t\r\n" or text[at] == also:
        at += 1
    return at


def _within(pieces: Sequence[Piece], spans: Sequence[Span]) -> dict[str, tuple[float, ...]]:
    """Give each span the tokens that overlap it; a token may reach into several."""
    found: dict[str, list[float]] = {name: [] for name, _, _ in spans}
    at = first = 0
    for length, logprob in pieces:
        begin, at = at, at + length
        place = first
        while place < len(spans) and spans[place][1] < at:
            name, _, end = spans[place]
            place += 1
            if begin < end:
                found[name].append(logprob)
            else:
                first = place
    return {name: tuple(logprobs) for name, logprobs in found.items()}


def label_probability(
    tokens: Sequence[TokenLogprob], labels: Sequence[str], label: str
) -> float | None:
    """Return the probability of `label` among `labels`, 0..1, from the tokens that wrote it.

    At each token the mass of the alternatives that still lead to some label of the set is what
    the written token is compared with; an alternative that was not reported counts as nothing, so
    more alternatives give a truer figure. None when the label does not stand in the tokens.
    """
    place = _place_of(tokens, label)
    if place is None:
        return None
    number, cut = place
    rests, total, length = _folded(tuple(labels)), 0.0, len(label.casefold())
    while length > 0 and number < len(tokens):
        token = tokens[number]
        total += token.logprob - _mass(token, rests, cut)
        written = token.token[cut:].casefold()
        rests = [rest[len(written) :] for rest in rests if rest.startswith(written)]
        length, number, cut = length - len(written), number + 1, 0
    return min(1.0, math.exp(total))


@cache
def _folded(labels: tuple[str, ...]) -> Sequence[str]:
    return [label.casefold() for label in labels]


def _place_of(tokens: Sequence[TokenLogprob], label: str) -> tuple[int, int] | None:
    """Return the token in which the label begins, and after how many of its characters."""
    text = "".join([token.token for token in tokens]).casefold()
    at, start = len(text), text.rfind(label.casefold())
    if start < 0:
        return None
    for number in range(len(tokens) - 1, -1, -1):
        at -= len(tokens[number].token)
        if at <= start:
            return number, start - at
    return None


def _mass(token: TokenLogprob, rests: Sequence[str], cut: int) -> float:
    """Return the log of the probability of every alternative that leads to a label.

    `rests` is what is still to be written of each label that can be meant.
    """
    lead, whole = token.token[:cut], tuple(rests)
    mass = math.exp(token.logprob)
    for other, logprob in token.top:
        if other != token.token and other.startswith(lead):
            more = other[cut:].casefold()
            if more and _leads(more, whole):
                mass += math.exp(logprob)
    return math.log(mass) if mass > 0 else 0.0


def _leads(text: str, rests: tuple[str, ...]) -> bool:
    """Say whether a text is a beginning of a rest, or a rest with what closes it."""
    if any(rest.startswith(text) for rest in rests):
        return True
    ended = text.startswith(rests) and [rest for rest in rests if text.startswith(rest)]
    return any(not text[len(rest) :][:1].isalnum() for rest in ended or ())
