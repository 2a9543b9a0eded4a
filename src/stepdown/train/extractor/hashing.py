"""What can be seen of a token without any model: its letters, its shape, its place, its neighbours.

Each feature is a number of 32 bits, so that tables of them are compared and stored without words.
It knows one text at a time, no labels.
"""

import re
from functools import lru_cache
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np

from stepdown.train.extractor.tokens import Tokens

if TYPE_CHECKING:
    from numpy import intp, uint32, uint64
    from numpy.typing import NDArray

    Hashes = NDArray[uint64]

RECIPE = "tokens-hashed/1"
"""Changes when any feature changes: an extractor of another recipe is refused."""
_PRESENT = 1 << 32
_MONEY = re.compile(r"\d{1,9}(?:[.,]\d{3})*[.,]\d{2}")
_STEPS = (1, 2, 3, 4, 5, 6, 8, 11, 16, 24, 40, 80)
_LINES, _BAG = (-2, -1, 0, 1), 5


def features(tokens: Tokens) -> "NDArray[uint32]":
    """Return hashed features, shape (tokens, features); 0 where a token has none of that kind."""
    if not len(tokens):
        return np.zeros((0, 0), dtype=np.uint32)
    seen = np.array([_looks(word) for word in tokens.words], dtype=np.uint64)
    word, shape, head, tail = seen.T
    columns = [word, shape, head, tail]
    columns += [_shift(word, by) for by in (-3, -2, -1, 1, 2, 3)]
    columns += [_shift(shape, by) for by in (-2, -1, 1, 2)]
    columns += [_pair(_shift(word, -1), word), _pair(word, _shift(word, 1))]
    columns += [_pair(_shift(word, -1), shape), _pair(_shift(shape, -1), shape)]
    columns += _places(tokens) + _amounts(tokens)
    columns += [_pair(shape, column) for column in _bag(tokens, word, (-1, 0), 1)]
    salts = [*range(len(columns))]
    columns += _bag(tokens, word, _LINES, _BAG)
    salts += [1000 + line for line in range(len(_LINES)) for _ in range(_BAG)]
    return _mixed(np.stack(columns, axis=1), np.array(salts, dtype=np.uint64))


@lru_cache(maxsize=65_536)
def _looks(word: str) -> tuple[int, int, int, int]:
    """Return hashes of the word, of its shape, of its first and of its last three letters."""
    low = word.casefold()
    parts = (low, _shape(word), "^" + low[:3], low[-3:] + "$")
    first, second, third, fourth = (
        crc32(part.encode("utf-8", "replace")) | _PRESENT for part in parts
    )
    return first, second, third, fourth


def _shape(word: str) -> str:
    """Return digits as 9, letters as X or x (runs of more than four as one of them and a plus)."""
    plain = "".join(_kind(letter) for letter in word[:24])
    return re.sub(r"(X|x|9)\1{4,}", r"\1+", plain)


def _kind(letter: str) -> str:
    if letter.isdigit():
        return "9"
    if letter.isalpha():
        return "X" if letter.isupper() else "x"
    return letter


def _shift(column: "Hashes", by: int) -> "Hashes":
    """Return what stands `by` tokens further on; 0 beyond the ends."""
    out = np.zeros_like(column)
    if by > 0:
        out[:-by] = column[by:]
    elif len(column) > -by:
        out[-by:] = column[:by]
    return out


def _pair(one: "Hashes", other: "Hashes") -> "Hashes":
    """Return a hash of two values together; 0 where either is missing."""
    both = (one * np.uint64(0x9E3779B1) + other * np.uint64(0x85EBCA77)) >> np.uint64(11)
    return np.where((one > 0) & (other > 0), both | np.uint64(_PRESENT), np.uint64(0))


def _mixed(table: "Hashes", salts: "Hashes") -> "NDArray[uint32]":
    """Return 32 bits that tell apart equal values of different columns; 0 stays 0."""
    offsets = (salts + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (table ^ offsets) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0x94D049BB133111EB)
    high = (mixed >> np.uint64(32)) | np.uint64(1)
    return np.where(table > 0, high, np.uint64(0)).astype(np.uint32)


def _places(tokens: Tokens) -> "list[Hashes]":
    """Return where a token stands: line from the top and the bottom, place in its line, its size.

    Also its tenth of the text.
    """
    lines, every = tokens.lines, np.arange(len(tokens))
    start, end = tokens.firsts[lines], tokens.lasts[lines]
    counts = [lines, lines[-1] - lines, every - start, end - every, end - start]
    tenth = every * 10 // len(tokens) + _PRESENT
    return [*(_bucket(count) for count in counts), tenth.astype(np.uint64)]


def _bucket(counts: "NDArray[intp]") -> "Hashes":
    found = np.searchsorted(_STEPS, counts, side="right")
    return (found + _PRESENT).astype(np.uint64)


def _amounts(tokens: Tokens) -> "list[Hashes]":
    """Return how often a token occurs, and the rank of an amount among all."""
    _, which, counts = np.unique(tokens.words, return_inverse=True, return_counts=True)
    often = (np.minimum(counts[which], 4) + _PRESENT).astype(np.uint64)
    amounts = np.array([_amount(word) for word in tokens.words])
    known = amounts >= 0
    _, order = np.unique(-amounts, return_inverse=True)
    rank = np.where(known, np.minimum(order, 4) + _PRESENT, 0).astype(np.uint64)
    return [often, rank, _pair(often, rank)]


def _amount(word: str) -> float:
    """Return the amount that a token is, -1 where it is none."""
    if not _MONEY.fullmatch(word):
        return -1.0
    return float(re.sub(r"[.,]", "", word)) / 100


def _bag(tokens: Tokens, column: "Hashes", lines: tuple[int, ...], most: int) -> "list[Hashes]":
    """Return the first few words of lines that far away, `most` of each; 0 where there is none."""
    line = tokens.lines[:, None] + np.array(lines)
    inside = (line >= 0) & (line < len(tokens.firsts))
    line = np.minimum(np.maximum(line, 0), len(tokens.firsts) - 1)
    token = tokens.firsts[line][:, :, None] + np.arange(most)
    inside = inside[:, :, None] & (token <= tokens.lasts[line][:, :, None])
    found = np.where(inside, column[np.minimum(token, len(tokens) - 1)], np.uint64(0))
    return list(found.reshape(len(tokens), -1).T)
