"""Times as logs write them: seconds, milliseconds or nanoseconds since 1970, or ISO 8601."""

from __future__ import annotations

from datetime import UTC, datetime

# A number above these is milliseconds, microseconds or nanoseconds: as seconds it would lie beyond
# the year 5138.
_SCALES = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))


def epoch_s(value: float | str) -> float:
    """Return seconds since 1970; text without a zone is UTC.

    Raises:
        ValueError: it is no time.
    """
    if isinstance(value, str):
        return _from_text(value)
    for limit, scale in _SCALES:
        if value >= limit:
            return value / scale
    return float(value)


def iso(value: float | str | None) -> str | None:
    """Return ISO 8601 in UTC, None for None.

    Raises:
        ValueError: it is no time.
    """
    if value is None:
        return None
    try:
        moment = datetime.fromtimestamp(epoch_s(value), UTC)
    except (OverflowError, OSError) as error:
        raise ValueError(f"not a time: {value!r}") from error
    return moment.isoformat().replace("+00:00", "Z")


def _from_text(value: str) -> float:
    try:
        return epoch_s(float(value))
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(value.strip())
    except ValueError as error:
        raise ValueError(f"not a time: {value!r}") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
