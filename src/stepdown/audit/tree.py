"""Split prompts into groups that each say something together that the others never say.

Rows are prompts, columns their shingles. It starts from all rows: a shingle that some of them have,
and that brings many others along with it, marks a block; the rest is searched again, and each
block by itself. It knows no answers.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Rows = NDArray[np.intp]


class Limits(Struct, frozen=True):
    """`always`: share of a block's rows that have what it always says: under 1, because a sentence
    may vary at any place, and over a half. `mostly`: share of
    what a block says beyond its parent that a row of it says. `extra`: shingles that a block must
    say beyond its parent, or `part` of all it says. `support`: fewest rows of a block.
    `tries`: markers tried at one place, `most`: blocks there. `covered`: share of rows that blocks
    told apart by the user's words alone must cover (else they are what many customers happen to
    write).
    """

    always: float = 0.6
    mostly: float = 0.5
    extra: int = 8
    part: float = 0.3
    support: int = 3
    tries: int = 60
    covered: float = 0.9
    depth: int = 4
    most: int = 24


LIMITS = Limits()


class Leaf(Struct, frozen=True):
    """Rows that are not split further, and the columns that they always have."""

    rows: tuple[int, ...]
    always: frozenset[int]


def leaves(has: Bools, system: Bools, limits: Limits = LIMITS) -> list[Leaf]:
    """Return the leaves; `system` tells which columns are shingles of a system prompt."""
    everything = np.arange(len(has))
    return list(_split(has, system, everything, np.zeros(has.shape[1], bool), limits, 0))


def _split(
    has: Bools, system: Bools, rows: Rows, known: Bools, limits: Limits, depth: int
) -> Iterator[Leaf]:
    always = known | _always(has[rows], limits)
    blocks, rest = _blocks(has, system, rows, always, limits)
    if not _telling(has, system, blocks, rest, always, limits) or depth >= limits.depth:
        yield Leaf(tuple(rows.tolist()), frozenset(np.flatnonzero(always).tolist()))
        return
    for block in blocks:
        yield from _split(has, system, block, always, limits, depth + 1)
    if len(rest):
        yield Leaf(tuple(rest.tolist()), frozenset(np.flatnonzero(always).tolist()))


def _telling(
    has: Bools, system: Bools, blocks: list[Rows], rest: Rows, always: Bools, limits: Limits
) -> bool:
    """Tell whether a split stands for templates, and not for what many users happen to write."""
    if not blocks or (len(blocks) == 1 and not len(rest)):
        return False
    if any((_always(has[block], limits) & ~always & system).any() for block in blocks):
        return True
    return len(rest) <= (1 - limits.covered) * (len(rest) + sum(map(len, blocks)))


def _always(part: Bools, limits: Limits) -> Bools:
    found: Bools = part.mean(axis=0) >= limits.always
    return found


def _blocks(
    has: Bools, system: Bools, rows: Rows, always: Bools, limits: Limits
) -> tuple[list[Rows], Rows]:
    """Return blocks of rows, and the rows that belong to none."""
    blocks: list[Rows] = []
    left = rows
    closed = always.copy()
    for _ in range(limits.tries):
        if len(left) < limits.support or len(blocks) >= limits.most:
            break
        counts = has[left].sum(axis=0)
        counts[closed] = 0
        counts = np.where(system, counts * 2, counts)  # a system prompt tells more
        marker = int(np.argmax(counts))
        own = has[left, marker]
        if own.sum() < limits.support:
            break
        block = left[own]
        said = _always(has[block], limits)
        own = _like(has[left], own, said & ~always, limits)
        block = left[own]
        extra = int((said & ~always).sum())
        closed |= said
        closed[marker] = True
        if len(block) == len(rows) or not _coherent(extra, int(said.sum()), limits):
            continue
        blocks.append(block)
        left = left[~own]
    return blocks, left


def _like(part: Bools, own: Bools, extra: Bools, limits: Limits) -> Bools:
    """Return the rows of a block: those that say most of what it says beyond the rest.

    Its marker may be missing where a sentence varies. Few shingles tell no more than the marker.
    """
    if extra.sum() < limits.extra:
        return own
    found: Bools = part[:, extra].mean(axis=1) >= limits.mostly
    return found


def _coherent(extra: int, said: int, limits: Limits) -> bool:
    return extra >= limits.extra or (extra >= 1 and extra >= limits.part * said)
