"""Times as logs write them: seconds, milliseconds, microseconds or nanoseconds since 1970, or ISO
8601 with or without a zone (then it is UTC).
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from math import isfinite

# A number above these is milliseconds, microseconds or nanoseconds: as seconds it would lie beyond
# the year 5138.
_SCALES = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))
_SECONDS = 1e11
# The last second that can be written as a date (9999-12-31).
_LAST_S = 253_402_300_799.0


def epoch_s(value: float | str) -> float:
    """Return seconds since 1970; text without a zone is UTC.

    Raises:
        ValueError: it is no time.
    """
    if isinstance(value, str):
        return _from_text(value)
    return _from_number(value)


def moment(value: float | str | None) -> float | None:
    """Return seconds since 1970, None for None and for empty text.

    Raises:
        ValueError: it is no time.
    """
    if type(value) is float and 0.0 <= value < _SECONDS:  # nearly every number
        return value
    return None if value is None or value == "" else epoch_s(value)


def between(start: float | None, end: float | None) -> float | None:
    """Return the seconds between two times; None: one is unknown, or the clock went backwards."""
    if start is None or end is None or end < start:
        return None
    return end - start


def _from_number(value: float) -> float:
    if not isfinite(value) or value < 0:
        raise ValueError(f"not a time: {value!r}")
    seconds = float(value)
    for limit, scale in _SCALES:
        if value >= limit:
            seconds = value / scale
            break
    if seconds > _LAST_S:
        raise ValueError(f"not a time: {value!r}")
    return seconds


@lru_cache(maxsize=4096)
def _from_text(value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        pass
    else:
        return _from_number(number)
    try:
        found = datetime.fromisoformat(value.strip().removesuffix(" UTC"))
    except ValueError as error:
        raise ValueError(f"not a time: {value!r}") from error
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
