"""Savings that need no other model: what was asked twice, not cached, not batched, not used.

Each says how many calls it concerns, what it saw, and what either end of the saving assumes. It
does not add them up: they overlap.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from stepdown.audit.bill import KindOfWork, Measure
from stepdown.audit.prefixes import least_tokens
from stepdown.audit.pricing import PICO
from stepdown.audit.rules import Rules
from stepdown.audit.tally import Tally

_BOUNDED = ("classify", "extract", "route", "convert", "judge")
_BATCHED = ("batch", "offline", "nightly", "backfill", "cron", "ingest", "report", "eval", "index")


def measures_of(
    name: str, tally: Tally, kind: KindOfWork, rules: Rules, batch_share: float | None
) -> tuple[Measure, ...]:
    """Return the measures that a step's calls give reason for, the largest first.

    `batch_share` is what the Batch API costs as a share of the usual price, None: not offered.
    """
    found = [
        *_duplicates(name, tally),
        *_caching(name, tally, rules),
        *_batch(name, tally, rules, batch_share),
        *_unused_tools(name, tally),
        *_reasoning(name, tally, kind),
        *_max_tokens(name, tally),
    ]
    return tuple(sorted(found, key=lambda m: (-(m.high_usd or 0.0), m.kind)))


def _duplicates(name: str, tally: Tally) -> Iterator[Measure]:
    calls = tally.repeats.duplicates
    if calls:
        usd = tally.repeats.duplicates_pico / PICO
        about = "" if tally.repeats.exact else "about "
        yield Measure(
            kind="duplicates",
            step=name,
            calls=calls,
            low_usd=usd / 2,
            high_usd=usd,
            evidence=f"{about}{calls:,} answered calls repeat an earlier request word for word",
            assumes="high: each could come from a cache; low: half, others want a new answer",
        )


def _caching(name: str, tally: Tally, rules: Rules) -> Iterator[Measure]:
    calls, pico = tally.prefixed.duplicates, tally.prefixes.duplicates_pico
    if calls and pico:
        about = "" if tally.prefixed.exact and tally.prefixes.exact else "about "
        least = min(least_tokens(model, rules) for model in tally.models)
        yield Measure(
            kind="caching",
            step=name,
            calls=calls,
            low_usd=pico / PICO / 2,
            high_usd=pico / PICO,
            evidence=(
                f"{about}{calls:,} calls begin as an earlier one of the same "
                f"{rules.cache_s // 60} minutes, for {least:,} tokens or more (the least that is "
                "cached), and read nothing from a cache"
            ),
            assumes=(
                "high: each longest common beginning is read at the list price of cached tokens; "
                "low: half of them, for misses and what writing to the cache costs"
            ),
        )


def _batch(name: str, tally: Tally, rules: Rules, share: float | None) -> Iterator[Measure]:
    minutes = tally.minutes.counts()
    if share is None or not len(minutes):
        return
    usual = float(np.median(minutes))
    least = max(rules.burst_calls, rules.burst_times * usual)
    burst = int(minutes[minutes >= least].sum())
    said = next((word for word in _BATCHED if word in name.lower()), None)
    calls = tally.calls if said else burst
    if not calls:
        return
    usd = tally.pico / PICO * calls / tally.calls * (1 - share)
    why = (
        f"its name says {said!r}"
        if said
        else f"{burst:,} calls came in minutes with {least:,.0f} or more (usual: {usual:,.0f})"
    )
    yield Measure(
        kind="batch",
        step=name,
        calls=calls,
        low_usd=0.0,
        high_usd=usd,
        evidence=f"{why}; {tally.night / tally.calls:.0%} of calls between 0 and 5 h UTC",
        assumes="high: nobody waited for these; low: somebody did",
    )


def _unused_tools(name: str, tally: Tally) -> Iterator[Measure]:
    never = sorted(tool for tool in tally.offered if not tally.called[tool])
    if not never or tally.tools_calls < 100:
        return
    size = sum(tally.offered_bytes[tool] for tool in never)
    share = size / max(1, sum(tally.offered_bytes.values()))
    known = tally.tools_pico / PICO
    shown = ", ".join(never[:3]) + (f" and {len(never) - 3} more" if len(never) > 3 else "")
    yield Measure(
        kind="unused tools",
        step=name,
        calls=tally.tools_calls,
        low_usd=known * share if known else None,
        high_usd=known * share * 4 if known else None,
        evidence=(
            f"{len(never)} of {len(tally.offered)} tools were never called in "
            f"{tally.tools_calls:,} calls ({shown}); about {size / 4 / tally.tools_calls:,.0f} "
            "tokens in each prompt"
        ),
        assumes="low: they are read from a cache; high: at four times that, the usual full price",
    )


def _reasoning(name: str, tally: Tally, kind: KindOfWork) -> Iterator[Measure]:
    tokens = tally.tokens["reasoning_tokens"][0]
    if not tokens or kind.kind not in _BOUNDED:
        return
    usd = tally.thought_pico / PICO
    yield Measure(
        kind="reasoning",
        step=name,
        calls=tally.tokens["reasoning_tokens"][1],
        low_usd=usd * 0.25,
        high_usd=usd,
        evidence=f"{tokens:,} reasoning tokens before bounded answers ({kind.kind})",
        assumes="high: no reasoning is needed; low: a lower effort thinks a quarter less",
    )


def _max_tokens(name: str, tally: Tally) -> Iterator[Measure]:
    asked, wrote = tally.max_tokens.at(0.5), tally.output_length.at(0.99)
    if asked is None or wrote is None or not wrote or asked < 10 * wrote or tally.capped < 100:
        return
    yield Measure(
        kind="max_tokens",
        step=name,
        calls=tally.capped,
        low_usd=None,
        high_usd=None,
        evidence=f"max_tokens is {asked:,.0f} at the median; 99% of answers end by {wrote:,.0f}",
        assumes="costs nothing until an answer runs away; it counts against rate limits",
    )
