"""Measure the `extractor` recipe by cross-validation: SROIE receipts and the support desk.

Usage: python benchmarks/bench_extractor.py [--json] [--only sroie|desk] [--encoder static|minilm]
       [--folds 5] [--grouped] [--cache DIR]

Reads STEPDOWN_DATA (default ../shared/data). Every row is answered once, by an extractor that was
fitted on the other folds; `--grouped` keeps receipts of one company in one fold. Intervals are
Wilson 95%. Beside the support desk stand the demo project's regular expressions (written by reading
half of the messages) and the recorded answers of a large language model, on the same rows.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stepdown.adapters.encoders.minilm import load_minilm
from stepdown.adapters.encoders.static import load_static
from stepdown.adapters.models.rule import RegexModel
from stepdown.adapters.weights import pull
from stepdown.config.project import load_project
from stepdown.evals.scorers import squeezed
from stepdown.stats.calibrate import auroc, ece
from stepdown.stats.intervals import wilson
from stepdown.train.extractor import (
    Asked,
    Extracting,
    Extraction,
    Labelled,
    dump_extractor,
    fit_extractor,
)
from stepdown.train.extractor.candidates import letters
from stepdown.train.folds import assign_folds

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "src" / "stepdown" / "demo" / "project"
BEFORE = {"date": 0.95, "address": 0.81, "total": 0.76, "company": 0.66, "all fields": 0.43}
"""A linear head over MiniLM vectors of lines, 437 of 626 receipts; measured before this code."""
Row = dict[str, Any]
Same = Callable[[str, object, object], bool]


def main() -> int:
    """Measure what was asked for and print a table, or one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", choices=("sroie", "desk"))
    parser.add_argument("--encoder", choices=("static", "minilm"))
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--grouped", action="store_true")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "stepdown")
    chosen = parser.parse_args()
    data = Path(os.environ.get("STEPDOWN_DATA", ROOT.parent / "shared" / "data"))
    if not data.is_dir():
        print("skipped: no data under STEPDOWN_DATA", file=sys.stderr)
        return 0
    names = [chosen.only] if chosen.only else ["desk", "sroie"]
    kinds = [chosen.encoder] if chosen.encoder else ["static", "minilm"]
    found = [measure(name, kind, read(name, data), chosen) for name in names for kind in kinds]
    print(json.dumps(found, indent=1) if chosen.json else "\n\n".join(map(table, found)))
    return 0


def read(name: str, data: Path) -> list[Row]:
    """Return rows with `text`, `fields`, `id` and, for receipts, the company as `group`."""
    path = "sroie/receipts.jsonl" if name == "sroie" else "supportdesk/messages.jsonl"
    rows = [json.loads(line) for line in (data / path).open(encoding="utf-8")]
    key = "reference" if name == "sroie" else "entities"
    return [
        {
            "id": row["id"],
            "text": row["text"],
            "fields": row[key],
            "group": letters(row[key].get("company") or "") or row["id"],
        }
        for row in rows
    ]


def to_the_letter(_field: str, wanted: object, given: object) -> bool:
    """Compare as the scorer `fields`."""
    return wanted == given


def normalised(_field: str, wanted: object, given: object) -> bool:
    """Compare as the scorer `fields_normalised`."""
    return squeezed(str(wanted or "")) == squeezed(str(given or ""))


def by_letters(_field: str, wanted: object, given: object) -> bool:
    """Compare letters and digits alone."""
    return letters(str(wanted or "")) == letters(str(given or ""))


def measure(name: str, kind: str, rows: list[Row], chosen: argparse.Namespace) -> Row:
    """Cross-validate one encoder on one set."""
    weights = pull("all-minilm-l6-v2", chosen.cache)
    encoder = load_static() if kind == "static" else load_minilm(weights, chosen.cache)
    same = normalised if name == "sroie" else to_the_letter
    fields = tuple(dict.fromkeys(field for row in rows for field in row["fields"]))
    groups = [row["group"] if chosen.grouped else row["id"] for row in rows]
    folds = assign_folds(["row"] * len(rows), groups, chosen.folds, seed=0)
    answers: dict[int, Extraction] = {}
    spent: list[float] = []
    cpu_s, sizes = [], []
    for fold in range(chosen.folds):
        inside = [row for row, at in zip(rows, folds, strict=True) if at != fold]
        begun = time.process_time()
        made = fit_extractor(
            Labelled(
                [row["text"] for row in inside],
                [row["fields"] for row in inside],
                [row["id"] for row in inside],
            ),
            encoder,
            Asked(task=name, name=kind, fields=fields, same=same),
        )
        cpu_s.append(time.process_time() - begun)
        sizes.append(len(dump_extractor(made)))
        reading = Extracting(made, encoder)
        for at in np.flatnonzero(folds == fold).tolist():
            start = time.process_time()
            answers[at] = reading.read(rows[at]["text"])
            spent.append(time.process_time() - start)
    read_by = [answers[at] for at in range(len(rows))]
    out: Row = {
        "set": name + (" (grouped by company)" if chosen.grouped else ""),
        "encoder": kind,
        "n": len(rows),
        "folds": chosen.folds,
        "fit_cpu_s": float(np.mean(cpu_s)),
        "bytes": int(np.mean(sizes)),
        "cpu_p50_ms": 1e3 * float(np.median(spent)),
        "cpu_p99_ms": 1e3 * float(np.quantile(spent, 0.99)),
        "fields": [figures(field, rows, read_by, same) for field in fields],
    }
    out["all fields"] = rate(every(rows, [one.values for one in read_by], fields, same))
    out["mean of fields"] = float(np.mean([one["score"] for one in out["fields"]]))
    if name == "desk":
        out["beside"] = beside(rows, fields)
    else:
        out["all fields by letters"] = rate(
            every(rows, [one.values for one in read_by], fields, by_letters)
        )
        out["before"] = BEFORE
    return out


def rate(good: Sequence[bool]) -> Row:
    """Return a share with its interval."""
    found = wilson(sum(good), len(good), 0.95)
    return {"score": sum(good) / len(good), "low": found.low, "high": found.high}


def figures(field: str, rows: list[Row], read_by: Sequence[Extraction], same: Same) -> Row:
    """Return how one field did: score, confidence, and how many values are spans."""
    values = [one.values for one in read_by]
    good = [is_right(field, row, one, same) for row, one in zip(rows, values, strict=True)]
    loose = [is_right(field, row, one, by_letters) for row, one in zip(rows, values, strict=True)]
    sure = [one.sure[field] for one in read_by]
    real = [float(one) for one in good]
    return {
        "field": field,
        **rate(good),
        "by_letters": sum(loose) / len(loose),
        "ece": ece(sure, real),
        "auroc": auroc(sure, real),
        "present": sum(row["fields"].get(field) is not None for row in rows),
    }


def is_right(field: str, row: Row, values: Mapping[str, str | None], same: Same) -> bool:
    """Tell whether one value is right; absent must be absent."""
    wanted, given = row["fields"].get(field), values.get(field)
    return same(field, wanted, given) if wanted and given else not wanted and not given


def every(
    rows: list[Row], values: Sequence[Mapping[str, str | None]], fields: Sequence[str], same: Same
) -> list[bool]:
    """Return for each row whether all fields are right."""
    pairs = zip(rows, values, strict=True)
    return [all(is_right(field, row, one, same) for field in fields) for row, one in pairs]


def beside(rows: list[Row], fields: tuple[str, ...]) -> Row:
    """Return the mean score of the fields by rules and by the recorded large model."""
    project = load_project(DEMO)
    rules = RegexModel("entities", project.rules["entities"], fields)
    recorded = {
        row["id"]: row["entities"]
        for row in map(json.loads, (DEMO / "frontier.jsonl").open(encoding="utf-8"))
        if "entities" in row
    }
    by_rule = [{name: rules._first(name, row["text"]) for name in fields} for row in rows]
    large = [recorded[row["id"]] for row in rows]
    return {"rules": _mean(rows, by_rule, fields), "large model": _mean(rows, large, fields)}


def _mean(rows: list[Row], values: Sequence[Mapping[str, Any]], fields: Sequence[str]) -> Row:
    each = {
        field: float(
            np.mean(
                [
                    is_right(field, row, one, to_the_letter)
                    for row, one in zip(rows, values, strict=True)
                ]
            )
        )
        for field in fields
    }
    return {"mean of fields": float(np.mean(list(each.values()))), **each}


def table(found: Row) -> str:
    """Return the figures of one set and encoder."""
    head = (
        f"{found['set']} · {found['encoder']} · n {found['n']}, {found['folds']} folds · fit "
        f"{found['fit_cpu_s']:.0f} s CPU · {found['bytes'] / 1e6:.1f} MB · a text "
        f"{found['cpu_p50_ms']:.1f} ms CPU (p99 {found['cpu_p99_ms']:.1f})"
    )
    lines = [head, f"{'field':10} {'score':>22} {'letters':>8} {'ECE':>6} {'AUROC':>6} {'n':>5}"]
    for one in found["fields"]:
        area = "-" if one["auroc"] is None else f"{one['auroc']:.3f}"
        lines.append(
            f"{one['field']:10} {interval(one):>22} {one['by_letters']:>8.3f} {one['ece']:>6.3f} "
            f"{area:>6} {one['present']:>5}"
        )
    lines.append(f"{'all':10} {interval(found['all fields']):>22}")
    if "all fields by letters" in found:
        lines.append(f"{'  letters':10} {interval(found['all fields by letters']):>22}")
    lines.append(f"mean of the fields: {found['mean of fields']:.3f}")
    for name, one in found.get("beside", {}).items():
        lines.append(f"{name}: " + ", ".join(f"{key} {value:.3f}" for key, value in one.items()))
    if "before" in found:
        lines.append("before: " + ", ".join(f"{k} {v:.2f}" for k, v in found["before"].items()))
    return "\n".join(lines)


def interval(one: Row) -> str:
    """Return a figure with its interval."""
    return f"{one['score']:.3f} [{one['low']:.3f}, {one['high']:.3f}]"


if __name__ == "__main__":
    raise SystemExit(main())
