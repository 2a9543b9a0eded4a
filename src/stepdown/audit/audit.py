"""The audit: from batches of logged calls to the bill per step and what could step down.

One pass, bounded memory, and the same report whatever the order of the calls. It reads no file and
knows no price list: both are handed to it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import msgspec

from stepdown.audit.advice import advise
from stepdown.audit.bill import AuditReport, StepBill, WhatWasRead
from stepdown.audit.cluster import merged, template_of
from stepdown.audit.contract import infer_contract
from stepdown.audit.kind import kind_of, label_set
from stepdown.audit.rules import Rules
from stepdown.audit.tally import Spent, Tally
from stepdown.core.call_columns import Batch
from stepdown.core.request import Usage
from stepdown.core.tier import Price
from stepdown.core.usage_log import LoggedCall, Refused

UNNAMED = "unnamed"
OTHER = "other steps"
CLUSTER = "cluster"
Estimate = Callable[[str], int]


_UNKNOWN = Spent(None)


class PriceOf(Protocol):
    """Price a model (`provider/model` or a bare name) on a day; None: nobody lists it."""

    def __call__(self, model: str, day: str | None, input_tokens: int | None) -> Price | None:
        """Return the price; `day` is YYYY-MM-DD, and long prompts may cost more."""
        ...


def audit(
    batches: Iterable[Batch],
    price_of: PriceOf,
    *,
    estimate: Estimate | None = None,
    rules: Rules | None = None,
) -> AuditReport:
    """Return the audit of logged calls.

    A cost that the log reports counts as it is; otherwise the tokens are priced by `price_of`;
    otherwise the cost is unknown and counted. `estimate` counts the tokens of a text where the log
    has content but no counts; without it they stay unknown.
    """
    running = _Running(rules or Rules(), price_of, estimate)
    for batch in batches:
        running.add(batch)
    return running.report()


class _Running:
    """What has been read so far."""

    def __init__(self, rules: Rules, price_of: PriceOf, estimate: Estimate | None) -> None:
        self.rules, self.price_of, self.estimate = rules, price_of, estimate
        self.named: dict[str, Tally] = {}
        self.templates: dict[str, Tally] = {}
        self.first: str | None = None
        self.last: str | None = None
        self.refused: dict[str, tuple[int, Refused]] = {}
        self.unknown_fields: set[str] = set()

    def add(self, batch: Batch) -> None:
        """Count a batch."""
        self.unknown_fields.update(batch.unknown_fields)
        for refused in batch.refused:
            self._refuse(refused)
        for call in batch.calls():
            self._call(call)

    def report(self) -> AuditReport:
        """Return the report on everything that was counted."""
        clusters = _named_clusters(self._clusters(), taken=set(self.named))
        steps = {**self.named, **dict(clusters)}
        whole = Tally(self.rules)
        for tally in steps.values():
            whole.merge(tally)
        bills = [_bill(name, tally, whole, self.rules) for name, tally in steps.items()]
        bills.sort(key=lambda bill: (-(bill.cost.usd or 0.0), -bill.calls, bill.name))
        return AuditReport(
            steps=tuple(bills),
            calls=whole.calls,
            errors=whole.errors,
            messages=whole.sessions.count() or None,
            messages_exact=whole.sessions.exact,
            cost=whole.cost(),
            input_tokens=whole.input.counted(),
            output_tokens=whole.output.counted(),
            cached_tokens=whole.cached.counted(),
            read=self._read(whole),
        )

    def _call(self, call: LoggedCall) -> None:
        tally, rule = self._tally(call)
        usage = self._usage(call)
        tally.count(model=call.model, session=call.session, status=call.status, rule=rule)
        tally.spend(usage, self._spent(call, usage), call.latency_s)
        tally.look(call)
        if call.at is not None:
            self.first = call.at if self.first is None else min(call.at, self.first)
            self.last = call.at if self.last is None else max(call.at, self.last)

    def _tally(self, call: LoggedCall) -> tuple[Tally, str]:
        if call.step is not None:
            return self._in(self.named, call.step, OTHER), call.step_rule or "column step"
        template = template_of(call.messages)
        if template is None:
            return self._in(self.named, UNNAMED, UNNAMED), UNNAMED
        return self._in(self.templates, template, ""), CLUSTER

    def _in(self, tallies: dict[str, Tally], key: str, overflow: str) -> Tally:
        """Return the tally of a key; keys beyond the limit share one."""
        found = tallies.get(key)
        if found is None:
            key = key if len(tallies) < self.rules.most_steps else overflow
            found = tallies.setdefault(key, Tally(self.rules))
        return found

    def _usage(self, call: LoggedCall) -> Usage:
        told, estimate = call.usage, self.estimate
        if estimate is None or not call.messages:
            return told
        if told.input_tokens is not None and told.output_tokens is not None:
            return told
        read, wrote = told.input_tokens, told.output_tokens
        if read is None:
            read = sum(estimate(message.text) for message in call.messages)
        if wrote is None and call.answer is not None:
            wrote = estimate(call.answer)
        return msgspec.structs.replace(told, input_tokens=read, output_tokens=wrote, estimated=True)

    def _spent(self, call: LoggedCall, usage: Usage) -> Spent:
        if call.cost_usd is not None:
            return Spent(call.cost_usd, "reported", "the log")
        if call.model is None:
            return _UNKNOWN
        day = None if call.at is None else call.at[:10]
        reference = _reference(call.provider, call.model, call.processing)
        price = self.price_of(reference, day, usage.input_tokens)
        if price is None:
            return _UNKNOWN
        return Spent(price.cost_usd(usage, None), price.basis, price.source)

    def _refuse(self, refused: Refused) -> None:
        reason = _reason(refused.why)
        count, example = self.refused.get(reason, (0, refused))
        earlier = min(example, refused, key=lambda row: (row.source, row.line))
        self.refused[reason] = (count + 1, earlier)

    def _clusters(self) -> list[tuple[str, Tally]]:
        home = merged({name: tally.calls for name, tally in self.templates.items()}, self.rules)
        steps: dict[str, Tally] = {}
        for template in sorted(self.templates):
            step = steps.setdefault(home[template], Tally(self.rules))
            step.merge(self.templates[template])
            step.templates.append(template)
        return list(steps.items())

    def _read(self, whole: Tally) -> WhatWasRead:
        refused = [(why, count, example) for why, (count, example) in self.refused.items()]
        named_by = Counter(whole.named_by)
        unnamed = named_by.pop(UNNAMED, 0)
        return WhatWasRead(
            calls=whole.calls,
            first=self.first,
            last=self.last,
            refused=tuple(sorted(refused, key=lambda row: (-row[1], row[0]))),
            unknown_fields=tuple(sorted(self.unknown_fields)),
            with_content=whole.with_content,
            named_by=tuple(sorted(named_by.items(), key=lambda item: (-item[1], item[0]))),
            unnamed=unnamed,
        )


def _named_clusters(
    clusters: list[tuple[str, Tally]], taken: set[str]
) -> Iterator[tuple[str, Tally]]:
    """Yield clusters as `step-1`, `step-2`, ..., the costliest first."""
    ordered = sorted(clusters, key=lambda item: (-item[1].pico, -item[1].calls, item[0]))
    free = (
        name for number in range(1, len(clusters) + len(taken) + 1) if (name := f"step-{number}")
    )
    names = (name for name in free if name not in taken)
    yield from zip(names, (tally for _, tally in ordered), strict=False)


def _bill(name: str, tally: Tally, whole: Tally, rules: Rules) -> StepBill:
    cost = tally.cost()
    messages = tally.sessions.count() or None
    contract = infer_contract(tally.sample.items(), rules)
    kind = kind_of(name, tally, contract, rules)
    found = label_set(tally.answers, contract) if kind.kind == "classify" else None
    return StepBill(
        name=name,
        rule=min(tally.named_by, key=lambda rule: (-tally.named_by[rule], rule)),
        calls=tally.calls,
        errors=tally.errors,
        calls_with_session=tally.with_session,
        messages=messages,
        messages_exact=tally.sessions.exact,
        input_tokens=tally.input.counted(),
        output_tokens=tally.output.counted(),
        cached_tokens=tally.cached.counted(),
        cost=cost,
        share=tally.pico / whole.pico if whole.pico else None,
        usd_per_message=_per_message(cost.usd, whole.sessions.count()),
        latency_p50_s=tally.latency.at(0.5),
        latency_p95_s=tally.latency.at(0.95),
        latency_known=tally.latency.n,
        models=tuple(sorted(tally.models.items(), key=lambda item: (-item[1], item[0]))),
        with_content=tally.with_content,
        kind=kind,
        advice=advise(kind, tally, found, rules),
        labels=found.labels if found else (),
        contract=contract,
        templates=tuple(tally.templates),
    )


def _per_message(usd: float | None, messages: int) -> float | None:
    return None if usd is None or not messages else usd / messages


def _reference(provider: str | None, model: str, processing: str | None) -> str:
    named = provider is None or model.startswith(f"{provider}/")
    reference = model if named else f"{provider}/{model}"
    way = processing if processing not in (None, "standard") else None
    return reference if way is None else f"{reference} [{way}]"


def _reason(why: str) -> str:
    """Return a reason without the byte where it was found, so that equal ones count together."""
    return why.partition(" (byte")[0]
