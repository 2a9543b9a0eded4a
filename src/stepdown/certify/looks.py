"""Looks at certify rows: which rows were looked at before, and what another look costs.

A look holds a sketch of its rows: the 256 smallest hashes of their ids (a bottom-k sketch: Broder
1997; Cohen and Kaplan 2007). Up to 256 rows it is the set itself; beyond, it is a sample by which
two sets of rows find their overlap, so that adding a row does not make old rows fresh.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence

from msgspec import Struct

from stepdown.core.digest import digest
from stepdown.core.lock import Look
from stepdown.errors import DataError

SKETCH = 256  # hashes: 2 kB in the lock, and an overlap of 1% is missed once in 13 times
BYTES = 6  # of each hash: two of 100,000 rows share one with chance 2e-5
SHOWN = "shown"  # what a look tested that tested nothing


def sketch(ids: Sequence[str]) -> str:
    """Return the sketch of some row ids, as base64."""
    return base64.b64encode(b"".join(_smallest(ids))).decode()


def _smallest(ids: Sequence[str]) -> list[bytes]:
    return sorted({hashlib.sha256(one.encode()).digest()[:BYTES] for one in ids})[:SKETCH]


def overlap(look: Look, ids: Sequence[str]) -> float:
    """Return the share of the rows `ids`, 0..1, that an earlier look has seen.

    Exact when both have at most 256 rows, otherwise an estimate. A look without a sketch is
    compared as a whole.
    """
    if look.certify_digest == rows_digest(ids):
        return 1.0
    raw = base64.b64decode(look.sketch)
    old = [raw[i : i + BYTES] for i in range(0, len(raw), BYTES)]
    new = _smallest(ids)
    if not old or not new:
        return 0.0
    # Below the last hash that both sketches reach, each is the whole set.
    full = [part[-1] for part in (old, new) if len(part) == SKETCH]
    reach = min(full) if full else max(old[-1], new[-1])
    fresh = [one for one in new if one <= reach]
    return len(set(old) & set(fresh)) / len(fresh) if fresh else 0.0


def rows_digest(ids: Sequence[str]) -> str:
    """Return the digest of a set of rows."""
    return digest(sorted(ids))


class Spent(Struct, frozen=True):
    """What earlier looks cost a new one: `looks` afterwards, `delta` in all, remarks."""

    looks: tuple[Look, ...]
    delta: float
    remarks: tuple[str, ...]


def spend(
    earlier: Sequence[Look],
    ids: Sequence[str],
    *,
    tested: str,
    delta: float,
    today: str,
    allow_relook: bool,
    task: str,
) -> Spent:
    """Record a look, or refuse it: rows that tested something else are spent.

    The same test of the same rows is the same look. Rows that were only shown cost no delta, and
    that is said.

    Raises:
        DataError: some of the rows were tested before and `allow_relook` is not set.
    """
    rows = rows_digest(ids)
    now = Look(rows, today, delta, tested, len(ids), sketch(ids))
    others = [look for look in earlier if (look.certify_digest, look.tested) != (rows, tested)]
    seen = [(look, share) for look in others if (share := overlap(look, ids)) > 0]
    tests = [(look, share) for look, share in seen if look.tested != SHOWN]
    if tests and tested != SHOWN and not allow_relook:
        raise _spent(task, *max(tests, key=lambda pair: pair[1]))
    known = any((look.certify_digest, look.tested) == (rows, tested) for look in earlier)
    after = tuple(earlier) if known else (*earlier, now)
    total = delta + sum(look.delta for look, _ in tests)
    return Spent(after, total, tuple(_remark(look, share) for look, share in seen))


def _spent(task: str, look: Look, share: float) -> DataError:
    part = "The certify rows" if share >= 1 else f"{_percent(share)} of the certify rows"
    return DataError(
        f"{part} of {task!r} were already looked at on {look.date} to test other policies; "
        "another test on them would break the promise.",
        "Add fresh rows in place of them, or pass --relook: the lock then states the added chance "
        "of error.",
    )


def _remark(look: Look, share: float) -> str:
    if look.tested == SHOWN:
        return (
            f"{_percent(share)} of these rows were shown on {look.date} under thresholds set by "
            "hand: the promise assumes that nothing was changed because of what they showed."
        )
    return (
        f"{_percent(share)} of these rows were tested on {look.date}: the chance of error is "
        f"{look.delta:g} higher for it."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"
