"""Who may vote in an alarm, and on which day: one vote a group a day, and days that never go back.

A caller who floods a task, or a clock that jumps, must not raise an alarm or silence one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Protocol, TypeVar

from msgspec import Struct

AHEAD = timedelta(hours=1)  # clocks of several machines differ by less
FLOODS = 0.2  # a group with a larger share of what came is named in a note
FEW = 50  # records below which no share of them is a flood
DAY = len("2026-11-22")


class Dated(Protocol):
    """A record with a time and a group."""

    @property
    def at(self) -> str:
        """When it was written: ISO 8601 in UTC."""
        ...

    @property
    def group(self) -> str:
        """Whose it is."""
        ...


One = TypeVar("One", bound=Dated)


class Votes(Struct, frozen=True, kw_only=True):
    """The records that vote, by day in order.

    `ahead` are dated after now and set aside, `turned_back` count on the day of the record that
    arrived before them, `repeated` came from a group that had voted that day. `flood` is the
    largest group's share of all records where it is a flood.
    """

    days: tuple[tuple[str, tuple[Dated, ...]], ...] = ()
    ahead: int = 0
    turned_back: int = 0
    repeated: int = 0
    flood: float | None = None

    @property
    def n(self) -> int:
        """How many vote."""
        return sum(len(records) for _, records in self.days)


def votes_of(records: Sequence[One], now: str) -> Votes:
    """Return the votes among records, which come in the order in which they arrived."""
    latest = _moment(now) + AHEAD
    present = [one for one in records if _moment(one.at) <= latest]
    kept: dict[str, list[Dated]] = {}
    voted: set[tuple[str, Hashable]] = set()
    today, turned = "", 0
    for one in present:
        dated = one.at[:DAY]
        turned += dated < today
        today = max(today, dated)
        if (today, one.group) not in voted:
            voted.add((today, one.group))
            kept.setdefault(today, []).append(one)
    return Votes(
        days=tuple((day, tuple(found)) for day, found in kept.items()),
        ahead=len(records) - len(present),
        turned_back=turned,
        repeated=len(present) - len(voted),
        flood=_flood(one.group for one in present),
    )


def values_by_day(
    votes: Votes, value: Callable[[Dated], float | None]
) -> list[tuple[int, list[float]]]:
    """Return (day as a number, the known values of its votes in order)."""
    found = []
    for day, records in votes.days:
        known = [one for one in map(value, records) if one is not None]
        found.append((date.fromisoformat(day).toordinal(), known))
    return found


def day_of(number: int | None) -> str | None:
    """Return the date of a day's number."""
    return None if number is None else date.fromordinal(number).isoformat()


def _flood(groups: Iterable[str]) -> float | None:
    counts = Counter(groups)
    total = sum(counts.values())
    if total < FEW:
        return None
    share = counts.most_common(1)[0][1] / total
    return share if share > FLOODS else None


def _moment(said: str) -> datetime:
    """Read a time; the ledger's own hours (of a task that stores nothing) count as well."""
    found = datetime.fromisoformat(said if len(said) > len("2026-11-22T10") else f"{said}:00")
    return found if found.tzinfo else found.replace(tzinfo=UTC)
