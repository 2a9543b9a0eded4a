"""Spend by day beside what the same requests would have cost on the baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stepdown.adapters.render.markup import Markup, tag
from stepdown.adapters.render.ui.timeline import Timeline, Track, timeline
from stepdown.core.board import DayBoard, Spend
from stepdown.core.lock import Estimate
from stepdown.core.report import Claim
from stepdown.stats.sum_interval import sum_interval

WEEK = 7
_SPARK = (110.0, 24.0)  # width and height, in pixels
FEW = 10  # scores a day, on average, below which a week is shown at a time


def spend_by_day(
    days: Sequence[str], found: Mapping[str, Spend], baseline: str, title: str, key: str
) -> Markup:
    """Return the figure; `found` holds the days that have requests."""
    unknown = sum(one.cost_unknown for one in found.values())
    notes = ["The last day is not over yet."] if found else []
    notes += [f"The line is what the requests with both costs known would have cost on {baseline}."]
    if unknown:
        notes.append(f"{unknown:,} requests have an unknown cost: the bars leave them out.")
    tracks = (
        Track("spent", "bars", tuple(_spent(found.get(day)) for day in days)),
        Track(f"on {baseline} alone", "line", tuple(_base(found.get(day)) for day in days)),
    )
    shown = Timeline(title=title, days=tuple(days), tracks=tracks, unit="usd", notes=tuple(notes))
    return timeline(shown, key)


def spark(days: Sequence[str], found: Mapping[str, Spend]) -> Markup:
    """Return spend and baseline by day as small as a word; who cannot see it has the figures on the
    step's page.
    """
    spent = [0.0 if (one := found.get(day)) is None else one.known_usd or 0.0 for day in days]
    base = [None if (one := found.get(day)) is None else one.baseline_usd for day in days]
    most = max([*spent, *(value for value in base if value is not None)], default=0.0)
    if most <= 0:
        return tag("span", "–", class_="none")
    slot, scale = _SPARK[0] / len(days), (_SPARK[1] - 2) / most
    bars = [
        tag("rect", x=place * slot, y=_SPARK[1] - value * scale, width=max(0.5, slot * 0.8),
            height=value * scale, class_="bar-spent")
        for place, value in enumerate(spent)
        if value > 0
    ]  # fmt: skip
    spots = [
        f"{(place + 0.4) * slot:.1f},{_SPARK[1] - value * scale:.1f}"
        for place, value in enumerate(base)
        if value is not None
    ]
    line = tag("polyline", points=" ".join(spots), class_="line-base")
    box = f"0 0 {_SPARK[0]:g} {_SPARK[1]:g}"
    return tag("svg", *bars, line, class_="spark", viewBox=box, aria_hidden="true")


def score_by_day(
    days: Sequence[str], found: Sequence[DayBoard], floor: float | None, said: str, key: str
) -> Markup:
    """Return what people said with intervals, against the floor.

    Where days have few scores the days of a week are taken together: an interval of one score says
    nothing.
    """
    by_day = {one.day: one.score for one in found if one.score is not None}
    span = 1 if sum(one.n for one in by_day.values()) >= FEW * len(by_day) else WEEK
    claims = _by_span(days, by_day, span)
    tracks = [Track("score, by feedback", "dots", claims)]
    if floor is not None:
        tracks.append(Track("floor", "level", (Claim(floor, "score"),)))
    shown = Timeline(
        title=f"Score by {'day' if span == 1 else 'week'} against the floor",
        days=tuple(days),
        tracks=tuple(tracks) if any(claims) else (),
        unit="score",
        notes=(said,),
    )
    return timeline(shown, key)


def _by_span(
    days: Sequence[str], found: Mapping[str, Estimate], span: int
) -> tuple[Claim | None, ...]:
    """Return one claim for each day; that of several days stands at their middle one."""
    claims: list[Claim | None] = [None] * len(days)
    for end in range(len(days), 0, -span):
        start = max(0, end - span)
        parts = [found[day] for day in days[start:end] if day in found]
        if parts:
            claims[(start + end - 1) // 2] = _together(parts, days[start], days[end - 1])
    return tuple(claims)


def _together(parts: Sequence[Estimate], first: str, last: str) -> Claim:
    n = sum(one.n for one in parts)
    total = sum((one.value or 0.0) * one.n for one in parts)
    low, high = sum_interval(total, n)
    note = "" if first == last else f"{first} to {last}"
    return Claim(total / n, "score", low, high, 0.95, n, parts[0].source, note)


def _spent(spend: Spend | None) -> Claim | None:
    if spend is None or spend.known_usd is None:
        return None
    note = f"{spend.cost_unknown:,} unknown" if spend.cost_unknown else ""
    return Claim(spend.known_usd, "usd", n=spend.requests, note=note)


def _base(spend: Spend | None) -> Claim | None:
    if spend is None or spend.baseline_usd is None:
        return None
    return Claim(spend.baseline_usd, "usd", n=spend.both_known)
