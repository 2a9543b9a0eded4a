"""The Prometheus text format: families of numbers to the page that is scraped.

Source: Prometheus documentation, "Exposition formats", text format version 0.0.4 (2026-11). It does
not know what the numbers mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"


class Timed(Struct, frozen=True):
    """A histogram: counts per bucket with one above the last bound, and the sum."""

    counts: Sequence[int]
    total: float


class Family(Struct, frozen=True):
    """One metric: its kind, what it says, the names of its labels, a value for each of theirs."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ()
    values: Mapping[tuple[str, ...], float] = {}
    times: Mapping[tuple[str, ...], Timed] = {}
    bounds: Sequence[float] = ()


def page(families: Iterable[Family]) -> bytes:
    """Return the whole page; a family without a value still says that it is there."""
    return "".join(line for family in families for line in _lines(family)).encode()


def _lines(family: Family) -> Iterable[str]:
    yield f"# HELP {family.name} {_help(family.help)}\n"
    yield f"# TYPE {family.name} {family.kind}\n"
    for values, number in family.values.items():
        yield f"{family.name}{_labels(family.labels, values)} {_number(number)}\n"
    for values, timed in family.times.items():
        yield from _histogram(family, values, timed)


def _histogram(family: Family, values: tuple[str, ...], timed: Timed) -> Iterable[str]:
    below = 0
    for bound, count in zip([*family.bounds, None], timed.counts, strict=True):
        below += count
        edge = "+Inf" if bound is None else _number(bound)
        labels = _labels((*family.labels, "le"), (*values, edge))
        yield f"{family.name}_bucket{labels} {below}\n"
    said = _labels(family.labels, values)
    yield f"{family.name}_sum{said} {_number(timed.total)}\n"
    yield f"{family.name}_count{said} {below}\n"


def _labels(names: Sequence[str], values: Sequence[str]) -> str:
    if not names:
        return ""
    pairs = (f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True))
    return "{" + ",".join(pairs) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _help(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
