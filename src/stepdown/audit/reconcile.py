"""Explain the difference between our sum and a provider's, line by line.

An explanation is arithmetic on what both sides say; what is left is said to be left.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from msgspec import Struct

from stepdown.core.billed import BilledLine, BilledSums

Why = Literal["only theirs", "only ours", "tokens", "price", "unpriced", "rounding", "not by line"]
CENT = 0.005  # a line that differs by less is rounded
Rate = Callable[[str | None, str | None, str | None, str], float | None]


class Difference(Struct, frozen=True, kw_only=True):
    """A part of the difference: theirs less ours in dollars, why, and what it is about."""

    usd: float
    why: Why
    about: str
    said: str


class Reconciled(Struct, frozen=True, kw_only=True):
    """Both sums and the difference in parts; `unexplained_usd` is what no part explains."""

    ours_usd: float | None
    theirs_usd: float | None
    parts: tuple[Difference, ...] = ()
    unexplained_usd: float = 0.0
    ours_calls: int = 0
    unpriced_calls: int = 0
    notes: tuple[str, ...] = ()

    @property
    def difference_usd(self) -> float | None:
        """Theirs less ours."""
        if self.ours_usd is None or self.theirs_usd is None:
            return None
        return self.theirs_usd - self.ours_usd

    @property
    def off(self) -> float | None:
        """The difference as a share of theirs."""
        found = self.difference_usd
        if found is None:
            return None
        return abs(found) / abs(self.theirs_usd) if self.theirs_usd else float(found != 0)


Key = tuple[str | None, str | None, str | None]


def reconcile(ours: BilledSums, theirs: BilledSums, rate: Rate) -> Reconciled:
    """Return the difference by line.

    Lines are compared as finely as the provider's are: by day, model and way of processing where
    they say so. `rate` gives our dollars a million tokens of a class.
    """
    says = tuple(any(getattr(line, name) for line in theirs.lines) for name in _KEYS)
    here, there = _grouped(ours.lines, says), _grouped(theirs.lines, says)
    parts: list[Difference] = []
    for key in sorted({*here, *there}, key=str):
        parts += _line(key, here.get(key), there.get(key), rate)
    asked = [line for line in there.values() if line.cost_usd is None and line.tokens]
    paid = theirs.cost_usd
    if paid is None and asked:
        paid = _at_our_rates(there, rate)
    return _result(ours, paid, parts, theirs)


def against_invoice(ours: BilledSums, amount_usd: float) -> Reconciled:
    """Return the difference from one amount, of which nothing can be said by line."""
    return _result(ours, amount_usd, [], None)


_KEYS = ("day", "model", "processing")


def _result(
    ours: BilledSums, paid: float | None, parts: list[Difference], theirs: BilledSums | None
) -> Reconciled:
    mine = ours.cost_usd
    whole = 0.0 if mine is None or paid is None else paid - mine
    small = [part for part in parts if abs(part.usd) < CENT and part.why != "unpriced"]
    kept = [part for part in parts if part not in small]
    if small:
        said = f"{len(small):,} lines differ by less than half a cent"
        kept.append(
            Difference(usd=sum(p.usd for p in small), why="rounding", about="all", said=said)
        )
    unpriced = sum(line.unpriced_calls for line in ours.lines)
    left_out = theirs.left_out if theirs else {}
    notes = [f"{n:,} {what} of the export left out" for what, n in left_out.items()]
    if theirs and theirs.cost_usd is None:
        notes.append("The export holds tokens and no cost: its side is at our rates.")
    return Reconciled(
        ours_usd=mine,
        theirs_usd=paid,
        parts=tuple(sorted(kept, key=lambda part: -abs(part.usd))),
        unexplained_usd=whole - sum(part.usd for part in kept),
        ours_calls=sum(line.calls or 0 for line in ours.lines),
        unpriced_calls=unpriced,
        notes=tuple(notes),
    )


def _grouped(lines: Iterable[BilledLine], says: tuple[bool, ...]) -> dict[Key, BilledLine]:
    found: dict[Key, list[BilledLine]] = defaultdict(list)
    for line in lines:
        way = line.processing or "standard"
        told = (line.day, _bare(line.model), "standard" if way == "default" else way)
        day, model, processing = (
            value if said else None for value, said in zip(told, says, strict=True)
        )
        found[day, model, processing].append(line)
    return {key: _sum(key, group) for key, group in found.items()}


def _bare(model: str | None) -> str | None:
    return None if model is None else model.rpartition("/")[2].lower()


def _sum(key: Key, lines: list[BilledLine]) -> BilledLine:
    tokens: dict[str, int] = defaultdict(int)
    for line in lines:
        for name, n in line.tokens.items():
            tokens[name] += n
    costs = [line.cost_usd for line in lines if line.cost_usd is not None]
    calls = [line.calls for line in lines if line.calls is not None]
    return BilledLine(
        day=key[0],
        model=key[1],
        processing=key[2],
        calls=sum(calls) if calls else None,
        tokens=dict(tokens),
        cost_usd=sum(costs) if costs else None,
        unpriced_calls=sum(line.unpriced_calls for line in lines),
    )


def _line(
    key: Key, mine: BilledLine | None, theirs: BilledLine | None, rate: Rate
) -> list[Difference]:
    about = ", ".join(part for part in key if part) or "the whole"
    if mine is None and theirs is not None:
        paid = _paid(key, theirs, rate)
        said = "billed, and not in our log"
        return [] if not paid else [_part(paid, "only theirs", about, said)]
    if mine is not None and theirs is None:
        said = f"{mine.calls or 0:,} calls in our log, and not billed"
        return [] if not mine.cost_usd else [_part(-mine.cost_usd, "only ours", about, said)]
    assert mine is not None
    assert theirs is not None
    return _both(key, about, mine, theirs, rate)


def _both(
    key: Key, about: str, mine: BilledLine, theirs: BilledLine, rate: Rate
) -> list[Difference]:
    paid, counted = _paid(key, theirs, rate), mine.cost_usd or 0.0
    if paid is None:
        return []
    if mine.unpriced_calls and not mine.cost_usd:
        said = f"{mine.unpriced_calls:,} calls of a model without a price of ours"
        return [_part(paid, "unpriced", about, said)]
    parts = _volumes(key, about, mine, theirs, rate) if theirs.tokens else []
    left = paid - counted - sum(part.usd for part in parts)
    if abs(left) > 1e-9:
        parts.append(_left(left, about, mine, theirs))
    return parts


def _volumes(
    key: Key, about: str, mine: BilledLine, theirs: BilledLine, rate: Rate
) -> list[Difference]:
    parts = []
    calls = (theirs.calls or 0) - (mine.calls or 0) if theirs.calls is not None else None
    for name in sorted({*mine.tokens, *theirs.tokens}):
        more = theirs.tokens.get(name, 0) - mine.tokens.get(name, 0)
        usd = rate(*key, name)
        if more and usd is not None:
            missing = f", {abs(calls):,} calls {'more' if calls > 0 else 'fewer'}" if calls else ""
            said = f"{abs(more):,} {name} tokens {'more' if more > 0 else 'fewer'} billed{missing}"
            parts.append(_part(more * usd / 1e6, "tokens", about, said))
    return parts


def _left(left: float, about: str, mine: BilledLine, theirs: BilledLine) -> Difference:
    if theirs.tokens:
        said = "the same tokens at another price than ours: a discount, a tax, or an old list"
        return _part(left, "price", about, said)
    return _part(left, "not by line", about, "the export has no tokens to say why")


def _part(usd: float, why: Why, about: str, said: str) -> Difference:
    return Difference(usd=usd, why=why, about=about, said=said)


def _paid(key: Key, line: BilledLine, rate: Rate) -> float | None:
    return line.cost_usd if line.cost_usd is not None else _priced(key, line.tokens, rate)


def _priced(key: Key, tokens: Mapping[str, int], rate: Rate) -> float | None:
    known = [(n, rate(*key, name)) for name, n in tokens.items()]
    if not known or any(usd is None for _, usd in known):
        return None
    return sum(n * usd / 1e6 for n, usd in known if usd is not None)


def _at_our_rates(lines: Mapping[Key, BilledLine], rate: Rate) -> float | None:
    told = [_priced(key, line.tokens, rate) for key, line in lines.items()]
    known = [usd for usd in told if usd is not None]
    return sum(known) if known else None
