"""Thresholds that keep their word: share of traffic kept, promises broken, ratios against peers.

Usage: python benchmarks/bench_thresholds.py [--trials N] [--synthetic] [--json]

Strength at T=.90, delta=.10, n=1000 on every population; a summary at other sizes and targets;
non-inferiority at epsilon=.02 against the CLT, which is not valid. Trials are seeds 0, 1, 2 ...
Recorded populations need STEPDOWN_DATA (default ../shared/data); without it only the synthetic
ones are played. Promises broken are judged by exact binomial tests, Holm at .01.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from stepdown.stats import baselines
from traffic import recorded, study, synthetic
from traffic.population import Population

TARGET, ROWS = 0.9, 1000
GOALS = {"Learn-then-Test": 1.3, "SGR": 1.08, "best start": 0.9}
NOT_COMMITTED = ("GSM8K, 5", "MMLU-Pro", "14 tasks")
OTHER = ((0.9, 100), (0.9, 300), (0.9, 3000), (0.95, 300), (0.95, 1000), (0.95, 3000))
RULES = {
    "AUTO": study.auto,
    "WARM": study.warm,
    **{name: study.rule(rule) for name, rule in baselines.PEERS.items()},
    **{name: study.rule(rule) for name, rule in baselines.HABITS.items()},
}
SHORT = ("AUTO", "WARM", "LtT", "SGR", "Bonf", "HB", "observed", "normal", "raw")
KEPT_LONG = 38


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--synthetic", action="store_true", help="leave the recorded ones out")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    begin, real = time.perf_counter(), recorded.available() and not chosen.synthetic
    if not real:
        print("recorded populations left out (no data, or --synthetic)", file=sys.stderr)
    groups = lists(real)
    rows = [strength(p, name, chosen.trials) for name, some in groups.items() for p in some]
    document: dict[str, Any] = {"trials": chosen.trials, "populations": rows}
    committed = [row for row in rows if row["list"] == "committed"]
    document["ratios"] = {
        "committed": ratios(committed),
        "committed, synthetic": ratios([row for row in committed if not row["recorded"]]),
        "committed, recorded": ratios([row for row in committed if row["recorded"]]),
        "further": ratios([row for row in rows if row["list"] == "further"]),
        "fresh": ratios([row for row in rows if row["list"] == "fresh"]),
        "all": ratios(rows),
    }
    fewer = max(10, chosen.trials // 4)
    document["other"] = [other(groups["committed"], *cell, fewer) for cell in OTHER]
    document["noninferiority"] = pairs(chosen.trials) if real else []
    print(json.dumps(document, indent=1) if chosen.json else text(document))
    print(f"{time.perf_counter() - begin:.0f} s", file=sys.stderr)


def lists(real: bool) -> dict[str, list[Population]]:
    """Return the committed list, further populations seen while building, and fresh ones."""
    if not real:
        return {"committed": synthetic.everyday()}
    seen = recorded.looked_at()
    further = [p for p in seen if p.name.startswith(NOT_COMMITTED)]
    committed = [*synthetic.everyday(), *(p for p in seen if p not in further)]
    return {"committed": committed, "further": further, "fresh": list(recorded.fresh())}


def strength(population: Population, where: str, trials: int) -> dict[str, Any]:
    """Return what every rule keeps of one population, and how often it breaks its promise."""
    played = {n: study.play(r, population, ROWS, TARGET, trials) for n, r in RULES.items()}
    return {
        "name": population.name,
        "list": where,
        "recorded": population.recorded,
        "possible": population.best_possible(TARGET),
        "best start": study.best_start(population, ROWS, TARGET, trials),
        "kept": {name: cell.kept for name, cell in played.items()},
        "broken": {name: cell.broken for name, cell in played.items()},
    }


def ratios(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return AUTO's mean share kept over that of each peer and of the best start, and WARM's."""
    if not rows:
        return {}
    mean = {name: float(np.mean([row["kept"][name] for row in rows])) for name in RULES}
    best = float(np.mean([row["best start"] for row in rows]))
    found = {name: mean["AUTO"] / mean[name] for name in baselines.PEERS}
    return {**found, "best start": mean["AUTO"] / best, "WARM to best start": mean["WARM"] / best}


def other(populations: Sequence[Population], target: float, n: int, trials: int) -> dict[str, Any]:
    """Return mean shares kept at another target and size."""
    names = ("AUTO", "WARM", "Learn-then-Test", "SGR")
    mean = {
        name: float(
            np.mean([study.play(RULES[name], p, n, target, trials).kept for p in populations])
        )
        for name in names
    }
    best = float(np.mean([study.best_start(p, n, target, trials) for p in populations]))
    return {"target": target, "n": n, "trials": trials, **mean, "best start": best}


def pairs(trials: int) -> list[dict[str, Any]]:
    """Return, per pair, the share kept by the exact test and by the CLT, and promises broken."""
    from traffic import paths

    return [paths.compare(pair, trials) for pair in paths.pairs()]


def text(document: dict[str, Any]) -> str:
    """Return the tables."""
    trials = document["trials"]
    head = "".join(f"{name:>13}" for name in SHORT)
    lines = [
        f"Accuracy of kept answers >= {TARGET}, delta {study.DELTA}, {ROWS} rows, {trials} trials.",
        "Share of traffic kept in % (promises broken in %).",
        f"{'population':{KEPT_LONG}}{'possible':>9}{'best start':>11}{head}",
    ]
    for row in document["populations"]:
        kind = row["list"] if row["recorded"] else "synthetic"
        cells = "".join(
            f"{100 * row['kept'][n]:7.1f} ({100 * row['broken'][n] / trials:3.0f})" for n in RULES
        )
        name = f"{row['name']} [{kind[0]}]"
        best = f"{100 * row['possible']:9.1f}{100 * row['best start']:11.1f}"
        lines.append(f"{name:{KEPT_LONG}}{best}{cells}")
    lines += ["[s] synthetic; recorded: [c] committed list, [f] further or fresh", ""]
    for name in RULES:
        cells = {r["name"]: (r["broken"][name], trials) for r in document["populations"]}
        rejected = study.broken_too_often(cells)
        lines.append(f"{name:20} breaks its promise on {len(rejected)} of {len(cells)} populations")
    lines += ["", "AUTO's mean share kept, as a multiple of"]
    for where, found in document["ratios"].items():
        figures = ", ".join(f"{name} {value:.3f}" for name, value in found.items())
        lines.append(f"  {where:21} {figures}")
    found = document["ratios"]["committed"]
    for name, goal in GOALS.items():
        verdict = "met" if found[name] >= goal else "MISSED"
        lines.append(f"goal, committed list: {name} >= {goal}: {found[name]:.3f}, {verdict}")
    lines += ["", "Mean share kept on the committed list, %"]
    for row in document["other"]:
        names = ("AUTO", "WARM", "Learn-then-Test", "SGR", "best start")
        figures = ", ".join(f"{name} {100 * row[name]:.1f}" for name in names)
        lines.append(f"  T={row['target']}, n={row['n']} ({row['trials']} trials): {figures}")
    return "\n".join([*lines, *_noninferiority(document)])


def _noninferiority(document: dict[str, Any]) -> list[str]:
    rows, trials = document["noninferiority"], document["trials"]
    if not rows:
        return ["", "non-inferiority: needs the recorded pairs"]
    lines = ["", "Non-inferiority, epsilon .02, 1000 rows: kept in % (promises broken in %)"]
    for row in rows:
        exact, clt = (
            f"{100 * row[name]:5.1f} ({100 * row[name + ' broken'] / trials:3.0f})"
            for name in ("exact", "clt")
        )
        lines.append(f"  {row['name']:58} exact {exact}, CLT {clt}")
    ratio = sum(row["exact"] for row in rows) / sum(row["clt"] for row in rows)
    met = "met" if ratio >= 0.91 else "MISSED"
    return [*lines, f"goal: exact keeps >= .91 of the CLT: {ratio:.3f}, {met}"]


if __name__ == "__main__":
    main()
