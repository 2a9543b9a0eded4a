"""From running sums to the report: names of found steps, the bill of each, what may step down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from stepdown.audit.advice import Facts, FindRate, advise
from stepdown.audit.bill import AuditReport, Cost, KindOfWork, Saving, StepBill, WhatWasRead
from stepdown.audit.bounded import LABELLED, LabelSet, label_set
from stepdown.audit.contract import infer_contract, system_of
from stepdown.audit.found import Found
from stepdown.audit.kind import kind_of
from stepdown.audit.measures import measures_of
from stepdown.audit.pricing import PICO, Pricer
from stepdown.audit.rules import Rules
from stepdown.audit.stakes import stakes_of
from stepdown.audit.sums import Sums
from stepdown.audit.tail import tail_of
from stepdown.audit.tally import Tally
from stepdown.core.call_columns import iso
from stepdown.ports.price_book import Rate

UNNAMED = "unnamed"
_DAY_S = 86_400


class _Run(Struct, frozen=True):
    sums: Sums
    pricer: Pricer
    names: Mapping[str, str]


class _Whole(Struct, frozen=True):
    """What is known of all steps together."""

    tally: Tally
    names: frozenset[str]
    days: float


def report_of(sums: Sums, pricer: Pricer, names: Mapping[str, str]) -> AuditReport:
    """Return the report on what was counted."""
    run = _Run(sums, pricer, names)
    steps: dict[str, tuple[Tally, tuple[Found, ...]]] = {
        name: (tally, ()) for name, tally in run.sums.named.items()
    }
    for name, found, tally in _named(run):
        if name in steps:
            same, known = steps[name]
            same.merge(tally)
            steps[name] = (same, (*known, found))
        else:
            steps[name] = (tally, (found,))
    whole = Tally(run.sums.rules)
    for tally, _ in steps.values():
        whole.merge(tally)
    days = max(0.0, run.sums.last_s - run.sums.first_s) / _DAY_S if run.sums.days else 0.0
    every = _Whole(whole, frozenset(steps), days)
    bills = [_bill(run, name, tally, found, every) for name, (tally, found) in steps.items()]
    bills.sort(key=lambda bill: (-(bill.cost.usd or 0.0), -bill.calls, bill.name))
    factor, method = _month(days, run.sums.rules.month_days)
    return AuditReport(
        steps=tuple(bills),
        calls=whole.calls,
        errors=whole.errors,
        messages=whole.sessions.count() or None,
        messages_exact=whole.sessions.exact,
        cost=whole.cost(run.pricer.bases),
        input_tokens=whole.counted("input_tokens"),
        output_tokens=whole.counted("output_tokens"),
        cached_tokens=whole.counted("cached_tokens"),
        reasoning_tokens=whole.counted("reasoning_tokens"),
        read=_read(run, whole),
        days=tuple((_date(day), pico / PICO) for day, pico in sorted(run.sums.days.items())),
        month_factor=factor,
        month_method=method,
    )


def _month(days: float, month_days: float) -> tuple[float | None, str]:
    """Return by what the log is multiplied for a month, None when it is too short."""
    if not days:
        return None, "The calls have no times, so no month can be told."
    if days < 1:
        return None, f"The log covers {days * 24:.1f} hours: too short to tell a month from."
    factor = month_days / days
    week = " It is less than a week, so weekends may be missing." if days < 7 else ""
    said = f"A month is the log's {days:.1f} days times {factor:.3g} ({month_days:.2f} days)."
    return factor, said + week


def _named(run: _Run) -> Iterator[tuple[str, Found, Tally]]:
    """Yield found steps by their remembered name, else `step-1`, `step-2`, the costliest first."""
    pairs = [pair for pair in run.sums.found.values() if pair[1].calls]
    ordered = sorted(pairs, key=lambda pair: (-pair[1].pico, -pair[1].calls, pair[0].fingerprint))
    taken = set(run.sums.named) | set(run.names.values())
    free = (
        name for n in range(1, len(pairs) + len(taken) + 1) if (name := f"step-{n}") not in taken
    )
    for found, tally in ordered:
        yield run.names.get(found.fingerprint) or next(free), found, tally


def _bill(run: _Run, name: str, tally: Tally, found: tuple[Found, ...], whole: _Whole) -> StepBill:
    cost = tally.cost(run.pricer.bases)
    contract = infer_contract(tally.sample.items(), run.sums.rules)
    rules = run.sums.rules
    kind = kind_of(name, tally, contract, rules, whole.names)
    labels = label_set(tally.answers, contract) if kind.kind in LABELLED else None
    facts = _facts(name, tally, kind, labels, cost, whole.days, rules)
    advice = advise(facts, tally, rules, _finder(run))
    measures = measures_of(name, tally, kind, rules, _batch_share(run, tally))
    best = max((m.high_usd or 0.0 for m in measures), default=0.0)
    least = max((m.low_usd or 0.0 for m in measures), default=0.0)
    after_low, after_high = _after(cost, advice.saving, least, best)
    return StepBill(
        name=name,
        rule=min(tally.named_by, key=lambda rule: (-tally.named_by[rule], rule)),
        calls=tally.calls,
        errors=tally.errors,
        calls_with_session=tally.with_session,
        messages=tally.sessions.count() or None,
        messages_exact=tally.sessions.exact,
        input_tokens=tally.counted("input_tokens"),
        output_tokens=tally.counted("output_tokens"),
        cached_tokens=tally.counted("cached_tokens"),
        cache_write_tokens=tally.counted("cache_write_tokens"),
        reasoning_tokens=tally.counted("reasoning_tokens"),
        cost=cost,
        share=tally.pico / whole.tally.pico if whole.tally.pico else None,
        usd_per_message=_per_message(cost.usd, whole.tally.sessions.count()),
        latency_p50_s=tally.latency.at(0.5),
        latency_p95_s=tally.latency.at(0.95),
        latency_known=tally.latency.n,
        latency_exact=tally.latency.exact,
        models=tuple(sorted(tally.models.items(), key=lambda item: (-item[1], item[0]))),
        with_content=tally.with_content,
        kind=kind,
        advice=advice,
        labels=labels.labels if labels else (),
        contract=contract,
        retries=max(tally.retries, tally.repeats.retries),
        prompts=tally.prompts.count(),
        measures=measures,
        after_low_usd=after_low,
        after_high_usd=after_high,
        stakes=facts.stakes,
        tail=facts.tail,
        found=found,
    )


def _facts(
    name: str,
    tally: Tally,
    kind: KindOfWork,
    labels: LabelSet | None,
    cost: Cost,
    days: float,
    rules: Rules,
) -> Facts:
    sample = tally.sample.items()
    inputs = [seen.user for seen in sample]
    return Facts(
        kind=kind,
        labels=labels,
        cost=cost,
        stakes=stakes_of(name, (system_of(seen.messages) for seen in sample), rules),
        tail=tail_of(inputs, tally.input_length, rules) if sample else None,
        months=days / rules.month_days,
    )


def _after(
    cost: Cost, saving: Saving | None, least: float, best: float
) -> tuple[float | None, float | None]:
    """Return what the step costs after, at best and at worst; the larger measure counts alone.

    What is saved without another model shrinks what another model can save.
    """
    if cost.usd is None:
        return None, None
    down_low = 0.0 if saving is None else saving.low_usd
    down_high = 0.0 if saving is None else saving.high_usd
    share = cost.usd or 1.0
    low = (cost.usd - min(best, cost.usd)) * (1 - min(1.0, down_high / share))
    high = (cost.usd - min(least, cost.usd)) * (1 - min(1.0, down_low / share))
    return low, high


def _finder(run: _Run) -> FindRate:
    def find(model: str) -> Rate | None:
        return run.pricer.find(model, None, None, "standard")

    return find


def _batch_share(run: _Run, tally: Tally) -> float | None:
    """Return what the Batch API costs as a share of the usual price of the main model."""
    if not tally.models:
        return None
    model = min(tally.models, key=lambda name: (-tally.models[name], name))
    usual = run.pricer.find(model, None, None, "standard")
    batch = run.pricer.find(model, None, None, "batch")
    return None if usual is None or batch is None or not usual.input else batch.input / usual.input


def _read(run: _Run, whole: Tally) -> WhatWasRead:
    refused = [(why, count, example) for why, (count, example) in run.sums.refused.items()]
    named_by = Counter(whole.named_by)
    unnamed = named_by.pop(UNNAMED, 0)
    return WhatWasRead(
        calls=whole.calls,
        first=iso(run.sums.first_s) if run.sums.days else None,
        last=iso(run.sums.last_s) if run.sums.days else None,
        refused=tuple(sorted(refused, key=lambda row: (-row[1], row[0]))),
        unknown_fields=tuple(sorted(run.sums.unknown_fields.items())),
        with_content=whole.with_content,
        named_by=tuple(sorted(named_by.items(), key=lambda item: (-item[1], item[0]))),
        unnamed=unnamed,
        formats=tuple(sorted((name, n) for name, n in run.sums.formats.items() if n)),
        notes=tuple(sorted(run.sums.notes.items())),
    )


def _date(day: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)).date().isoformat()


def _per_message(usd: float | None, messages: int) -> float | None:
    return None if usd is None or not messages else usd / messages
