"""`reconcile`: our sum of a log beside what a provider says, and why they differ."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from msgspec import Struct

from stepdown.adapters.bills.exports import read_bill
from stepdown.adapters.prices.book import Book
from stepdown.audit.reconcile import Rate, Reconciled, against_invoice, reconcile
from stepdown.core.billed import BilledLine, BilledSums
from stepdown.core.call_columns import Batch
from stepdown.core.report import Claim, Column, Document, Prose, Section, Table
from stepdown.core.usage_log import LoggedCall
from stepdown.errors import InputError
from stepdown.ports.price_book import Rate as TokenRate

MOST_SHOWN = 20


class Period(Struct, frozen=True):
    """Days from `first` to `last`, both included; None is without end."""

    first: str | None = None
    last: str | None = None

    def holds(self, day: str | None) -> bool:
        """Tell whether a day lies in it; an unknown day does not, where the period has an end."""
        if day is None:
            return self.first is None and self.last is None
        return (self.first or day) <= day <= (self.last or day)


def period_of(said: str | None) -> Period:
    """Return a period such as 2026-10 or 2026-10-03..2026-10-09.

    Raises:
        InputError: it is neither.
    """
    from datetime import date

    if said is None:
        return Period()
    first, dots, last = said.partition("..")
    try:
        if not dots and len(said) == 7:
            date.fromisoformat(f"{said}-01")
            return Period(f"{said}-01", f"{said}-31")
        return Period(
            date.fromisoformat(first).isoformat(), date.fromisoformat(last or first).isoformat()
        )
    except ValueError:
        raise InputError(
            f"--period {said!r} is no period.", "Write 2026-10, or 2026-10-03..2026-10-09."
        ) from None


def run(
    batches: Iterable[Batch],
    book: Book,
    *,
    usage: Path | None,
    invoice_usd: float | None,
    period: Period,
) -> Reconciled:
    """Return the difference between the log and an export, or one amount."""
    if (usage is None) == (invoice_usd is None):
        raise InputError("Say what to compare with.", "One of --usage EXPORT and --invoice AMOUNT.")
    ours = _ours(batches, book, period)
    if invoice_usd is not None:
        return against_invoice(ours, invoice_usd)
    assert usage is not None
    theirs = read_bill(usage)
    inside = tuple(line for line in theirs.lines if line.day is None or period.holds(line.day))
    kept = BilledSums(
        source=theirs.source, form=theirs.form, lines=inside, left_out=theirs.left_out
    )
    return reconcile(ours, kept, _rate(book, ours))


def _rate(book: Book, ours: BilledSums) -> Rate:
    """Return our price of a class of tokens; a name without provider is asked as the log has it."""
    full = {line.model.rpartition("/")[2].lower(): line.model for line in ours.lines if line.model}

    def rate(day: str | None, model: str | None, way: str | None, name: str) -> float | None:
        if model is None:
            return None
        asked = full.get(model, model)
        found = book.rates(asked, provider=None, day=day, processing=way or "standard")
        return None if found is None else _usd(found.rates[0], name)

    return rate


def _usd(rate: TokenRate, name: str) -> float:
    written = rate.input if rate.written is None else rate.written
    own = {
        "input": rate.input,
        "output": rate.output,
        "cached": rate.cached,
        "written": written,
        "written_1h": rate.written_1h if rate.written_1h is not None else written,
    }[name]
    return rate.input if own is None else own


def _ours(batches: Iterable[Batch], book: Book, period: Period) -> BilledSums:
    tokens: dict[tuple[str | None, ...], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    calls: dict[tuple[str | None, ...], int] = defaultdict(int)
    usd: dict[tuple[str | None, ...], list[float]] = defaultdict(list)
    unpriced: dict[tuple[str | None, ...], int] = defaultdict(int)
    left_out = 0
    for call in _calls(batches):
        day = None if call.at is None else call.at[:10]
        if not period.holds(day):
            left_out += 1
            continue
        key = (day, _named(call), call.processing or "standard")
        calls[key] += 1
        for name, n in _classes(call).items():
            tokens[key][name] += n
        cost = _cost(call, book)
        if cost is None:
            unpriced[key] += 1
        else:
            usd[key].append(cost)
    lines = [
        BilledLine(
            day=key[0],
            model=key[1],
            processing=key[2],
            calls=calls[key],
            tokens=dict(tokens[key]),
            cost_usd=sum(usd[key]) if usd[key] else None,
            unpriced_calls=unpriced[key],
        )
        for key in calls
    ]
    return BilledSums(
        source="the log",
        form="log",
        lines=tuple(lines),
        left_out={"calls outside the period": left_out},
    )


def _calls(batches: Iterable[Batch]) -> Iterator[LoggedCall]:
    for batch in batches:
        yield from batch.calls(content=False)


def _named(call: LoggedCall) -> str | None:
    if call.model is None or call.provider is None or call.model.startswith(f"{call.provider}/"):
        return call.model
    return f"{call.provider}/{call.model}"


def _classes(call: LoggedCall) -> Mapping[str, int]:
    usage = call.usage
    cached, written = usage.cached_tokens or 0, usage.cache_write_tokens or 0
    hour = min(usage.cache_write_1h_tokens or 0, written)
    fresh = max((usage.input_tokens or 0) - cached - written, 0)
    told = {"input": fresh, "cached": cached, "written": written - hour, "written_1h": hour}
    return {name: n for name, n in {**told, "output": usage.output_tokens or 0}.items() if n}


def _cost(call: LoggedCall, book: Book) -> float | None:
    if call.cost_usd is not None:
        return call.cost_usd
    if call.model is None or call.usage.input_tokens is None or call.usage.output_tokens is None:
        return None
    found = book.rates(
        call.model,
        provider=call.provider,
        day=None if call.at is None else call.at[:10],
        processing=call.processing or "standard",
    )
    if found is None:
        return None
    rate = found.rates[bisect_left(found.starts, call.usage.input_tokens)]
    usd = sum(n * _usd(rate, name) for name, n in _classes(call).items())
    thought = call.usage.reasoning_tokens or 0
    if rate.reasoning is not None and thought:
        usd += min(thought, call.usage.output_tokens) * (rate.reasoning - rate.output)
    return usd / 1e6


def reconciled_document(found: Reconciled, tolerance: float) -> Document:
    """Return the comparison as a document."""
    whole = abs(found.difference_usd or 0.0) or 1.0
    rows = tuple(
        (part.why, part.about, Claim(part.usd, "usd"), Claim(part.usd / whole, "share"), part.said)
        for part in found.parts[:MOST_SHOWN]
    )
    more = len(found.parts) - len(rows)
    notes = (f"{more:,} smaller lines are in --json.",) if more > 0 else ()
    table = Table(
        title="Theirs less ours",
        columns=(
            Column("why"),
            Column("line"),
            Column("amount", numeric=True),
            Column("share", numeric=True, optional=True),
            Column("what is known"),
        ),
        rows=(
            *rows,
            (
                "unexplained",
                "",
                Claim(found.unexplained_usd, "usd"),
                Claim(found.unexplained_usd / whole, "share"),
                "neither side says why",
            ),
        ),
        notes=(*notes, *found.notes),
    )
    return Document(
        title="Our sum and the provider's",
        facts=(
            ("ours", _money(found.ours_usd)),
            ("theirs", _money(found.theirs_usd)),
            ("difference", _money(found.difference_usd)),
        ),
        sections=(Section("Difference", (_verdict(found, tolerance), table, *_unpriced(found))),),
    )


def _money(usd: float | None) -> str:
    return "unknown" if usd is None else f"${usd:,.2f}"


def _verdict(found: Reconciled, tolerance: float) -> Prose:
    if found.off is None:
        return Prose("One of the sums is unknown, so nothing can be compared.", "bad")
    said = f"They differ by {found.off:.2%} of the provider's sum; allowed is {tolerance:.2%}."
    return Prose(said, "good" if found.off <= tolerance else "bad")


def _unpriced(found: Reconciled) -> tuple[Prose, ...]:
    if not found.unpriced_calls:
        return ()
    said = (
        f"{found.unpriced_calls:,} of {found.ours_calls:,} calls have no price: ours is at least."
    )
    return (Prose(f"{said} Give one under [prices], or see `stepdown prices MODEL`.", "warn"),)
