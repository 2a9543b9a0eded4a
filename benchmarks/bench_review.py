"""Alarms and audits: false alarms, days until a drop is found, recorded shifts, unbiased estimates.

Usage: python benchmarks/bench_review.py [--streams N] [--shuffles N] [--json]

Seeds are 0, 1, 2 ... and every one is counted; none is left out. Four parts:

1. False alarms in a quarter (92 days, looks at every vote, alpha .05) on streams at exactly the
   allowed loss, judged by an exact binomial test of "at most .05"; days until a drop from .94 to
   .85 is found, once with .94 as the promise (allowed loss .06) and once with a floor of .90
   (allowed .10, so that the stream lies below it before); drifts over 30 days to .85 and .82.
   Alarms without labels, each with the whole chance, against 350 certify rows drawn anew.
2. Recorded outcomes: GSM8K, then another domain, shuffled; audits of 5%. The program's own
   `review.assess` looks every 20 requests. Beside it the static threshold and adaptive conformal
   inference (Gibbs and Candes 2021) on the same audits. Needs STEPDOWN_DATA; left out without.
3. The audit estimate under selective escalation: bias, and misses of its interval at any look.
4. What audits cost against a monthly budget on traffic with busy days.

Streams of 1, 3 and 4 are synthetic. Answers of part 2 are recorded; only their scores are, so an
audit returns the recorded score of the kept answer, as one with a label would.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from review_shifts import recorded
from review_streams import (
    ALPHA,
    ENDS,
    RATES,
    budgets,
    drifts,
    drops,
    estimates,
    false_alarms,
    signs,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--streams", type=int, default=2000)
    parser.add_argument("--shuffles", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    begin, cpu = time.perf_counter(), time.process_time()
    data = Path(os.environ.get("STEPDOWN_DATA", "../shared/data")) / "outcomes"
    document: dict[str, Any] = {
        "streams": chosen.streams,
        "false_alarms": [false_alarms(n, at, chosen.streams) for n, at in RATES.items()],
        "drops": [
            drops(n, at, k, chosen.streams // 4) for n, at in RATES.items() for k in (100, 30)
        ],
        "drifts": [drifts(end, k, chosen.streams // 4) for end in ENDS for k in (100, 30)],
        "signs": [signs(kind, chosen.streams // 10) for kind in ("confidence", "agreement")],
        "estimate": estimates(chosen.streams // 2),
        "budget": budgets(50),
    }
    if data.exists():
        document["recorded"] = recorded(data, chosen.shuffles)
    else:
        print("recorded outcomes left out: no STEPDOWN_DATA", file=sys.stderr)
    print(json.dumps(document, indent=1) if chosen.json else text(document))
    spent = time.process_time() - cpu
    print(f"{time.perf_counter() - begin:.0f} s, {spent:.0f} s of CPU", file=sys.stderr)


def text(document: dict[str, Any]) -> str:
    lines = [
        f"False alarms in a quarter, alpha {ALPHA}, 100 votes a day, looks at every vote",
        *map(_false, document["false_alarms"]),
        "Days until a drop from .94 to .85 is found (must 7 and 18, goal 5 and 14)",
        *map(_drop, document["drops"]),
        "Drift from a loss of .06, which is the promise, in 30 days",
        *map(_drift, document["drifts"]),
        "False alarms without labels in a quarter, chance .05 for each, 350 certify rows",
        *map(_false, document["signs"]),
        *_estimate(document["estimate"]),
        _budget(document["budget"]),
    ]
    for one in document.get("recorded", []):
        lines += _recorded(one)
    return "\n".join(lines)


def _false(one: dict[str, Any]) -> str:
    return (
        f"  {one['name']:<20} {one['alarms']} of {one['streams']} ({one['share']:.4f}), exact p of "
        f"'at most .05' {one['p_value']:.2f}"
    )


def _drop(one: dict[str, Any]) -> str:
    return (
        f"  {one['name']:<20} {one['audits_a_day']:>3} a day: median {one['median_days']:g}, p90 "
        f"{one['p90_days']:g}, not found {one['not_found']}, rang before {one['before']} of "
        f"{one['streams']}"
    )


def _drift(one: dict[str, Any]) -> str:
    return (
        f"  to {one['end']:.2f}, {one['audits_a_day']:>3} a day: found after "
        f"{one['median_days']:g} days (median), before it doubled (day "
        f"{one['doubles_after_days']}) in {one['found_in_time']:.1%}"
    )


def _estimate(one: dict[str, Any]) -> list[str]:
    bias = (
        f"Audit estimate, {one['streams']} streams: bias {one['bias']:+.5f} (standard error "
        f"{one['standard_error']:.5f}); of kept answers alone {one['bias_of_kept_alone']:+.4f}"
    )
    missed = (
        f"  interval missed at some look in {one['missed_at_any_look']} of {one['streams']}, exact "
        f"p of 'at most .05' {one['p_value']:.2f}"
    )
    return [bias, missed]


def _budget(one: dict[str, Any]) -> str:
    return (
        f"Budget, {one['months']} months: spent {one['mean_share_spent']:.3f} of it (mean), at "
        f"most {one['largest_share_spent']:.4f}; over the day's part on {one['days_over']} of "
        f"{one['days']} days"
    )


def _recorded(one: dict[str, Any]) -> list[str]:
    head = (
        f"{one['name']}: promise {one['promise']:.3f} on kept answers ({one['kept_at_home']:.0%} "
        f"kept); after the shift the static threshold errs {one['away_error']:.3f}; above 1.5 "
        f"times the promise in {one['broken_by_shift']} of {one['shuffles']} shuffles"
    )
    return [head, *(_way(name, found) for name, found in one["ways"].items())]


def _way(name: str, found: dict[str, Any]) -> str:
    return (
        f"  {name:<24} back within 300: {found['back_within_300']:>2} of {found['n']}, median "
        f"after {found['median_back']:g}; error 0-300 {_figure(found['error_0_300'])}, later "
        f"{_figure(found['error_after_300'])} at {found['kept_after_300']:.0%} kept; rang before "
        f"{found['before_shift']}"
    )


def _figure(value: float | None) -> str:
    return "none kept" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    main()
