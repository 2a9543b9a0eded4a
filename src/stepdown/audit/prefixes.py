"""How much of a prompt a provider's cache could have held: the longest beginning that came before.

A prompt is cut at the ends of its messages and at every block of about 1,024 tokens; each border
has a digest of all that stands before it. Borders make a tree. What a border adds is read again by
all of its prompts but one, so the sum over borders is what all longest common beginnings are
together, whatever the order of the calls.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from hashlib import blake2b

import numpy as np
from msgspec import Struct

from stepdown.audit.rules import Rules
from stepdown.audit.sketch import Floats, Hashes, Ints

BLOCK_BYTES = 4096  # about 1,024 tokens
FINE_BLOCKS = (
    64  # after so many, blocks are twice as long, and so on: a long prompt has few borders
)
_ODD = np.uint64(0x9E3779B97F4A7C15)  # spreads the windows of one border (Knuth's golden ratio)

# The shortest beginning that is cached, in tokens, the first pattern that fits. Sources: OpenAI,
# "Prompt caching"; Anthropic, "Prompt caching", as LiteLLM's "Prompt Caching" lists its models
# (October 2026); Google, "Context caching" of the Gemini API (July 2026).
LEAST_TOKENS: tuple[tuple[str, int], ...] = (
    (r"opus-5|fable-5|mythos-5", 512),
    (r"haiku-4-5|opus-4-[567]", 4096),
    (r"3-5-haiku|3-haiku|haiku-3", 2048),
    (r"gemini-2", 2048),
    (r"gemini-[3-9]", 4096),
)


class Borders(Struct, frozen=True):
    """Borders of some prompts: digests with their window of time, and the money that each saves.

    `first` are the digests of the first border of each prompt that has any.
    """

    digests: Hashes
    pico: Ints
    first: Hashes


class Prompt(Struct, frozen=True):
    """What a call sent, in the order in which a provider reads it, and what its tools add."""

    model: str
    tools: str
    tools_bytes: int
    texts: Sequence[str]


def borders_of(prompts: Sequence[Prompt], at_s: Floats, saves: Floats, rules: Rules) -> Borders:
    """Return the borders of prompts; `saves` are dollars a million tokens, 0: nothing to save."""
    digests: list[int] = []
    tokens: list[float] = []
    rows: list[int] = []
    first: list[int] = []
    for row in np.flatnonzero(np.isfinite(at_s) & (saves > 0)).tolist():
        first.append(len(digests))
        for digest, more in cut(prompts[row], rules):
            digests.append(digest)
            tokens.append(more)
            rows.append(row)
        if first[-1] == len(digests):
            first.pop()
    at = np.array(rows, dtype=np.intp)
    windows = np.floor(at_s[at] / rules.cache_s).astype(np.uint64)
    found = np.array(digests, dtype=np.uint64) ^ (windows * _ODD)
    pico = np.rint(np.array(tokens) * saves[at] * 1e6).astype(np.int64)
    return Borders(found, pico, found[np.array(first, dtype=np.intp)])


def cut(prompt: Prompt, rules: Rules) -> Iterator[tuple[int, float]]:
    """Yield the digest of each border of a prompt, and the tokens since the one before."""
    least = least_tokens(prompt.model, rules) * rules.bytes_per_token
    if prompt.tools_bytes + sum(map(_bytes, prompt.texts)) < least:
        return
    so_far = blake2b(
        f"{prompt.model}\0{prompt.tools}\0{prompt.tools_bytes}".encode(), digest_size=8
    )
    at, before = prompt.tools_bytes, 0
    for text in prompt.texts:
        data = text.encode("utf-8", "replace")
        done = 0
        while done < len(data):
            piece = data[done : done + _room(at)]
            so_far.update(piece)
            done, at = done + len(piece), at + len(piece)
            if at >= least and (_room(at) == _block(at) or done == len(data)):
                yield int.from_bytes(so_far.digest(), "big"), (at - before) / rules.bytes_per_token
                before = at
        so_far.update(b"\0")


def least_letters(rules: Rules) -> float:
    """Return how long a prompt is at least that any model caches; a letter has at most 4 bytes."""
    tokens = min(rules.cache_tokens, *(tokens for _, tokens in LEAST_TOKENS))
    return tokens * rules.bytes_per_token / 4


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


@lru_cache(maxsize=1024)
def _least(model: str) -> int | None:
    low = model.lower()
    return next((tokens for name, tokens in LEAST_TOKENS if re.search(name, low)), None)


def least_tokens(model: str, rules: Rules) -> int:
    """Return the shortest beginning of a prompt that is cached for a model."""
    found = _least(model)
    return rules.cache_tokens if found is None else found


def _block(at: int) -> int:
    """Return the size of blocks at a place of a prompt."""
    size = BLOCK_BYTES
    while at >= size * FINE_BLOCKS:
        size *= 2
    return size


def _room(at: int) -> int:
    """Return how many bytes are left to the next border of a block."""
    size = _block(at)
    return size - at % size
