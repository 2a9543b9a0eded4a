"""Measure the two narrow experts on banking77, on its own train and test split.

Usage: python benchmarks/bench_experts.py [--json] [--only static|encoder] [--cache DIR]

Reads STEPDOWN_DATA (default ../shared/data). Test rows are scored once; every choice was made by
cross-validation on training rows. Accuracy intervals are Wilson 95%.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stepdown.adapters.encoders.minilm import load_minilm
from stepdown.adapters.encoders.static import load_static
from stepdown.adapters.weights import pull
from stepdown.stats.calibrate import auroc, ece
from stepdown.stats.intervals import wilson
from stepdown.train import Expert, fit_head, save_head
from stepdown.train.softmax import softmax

ROOT = Path(__file__).parents[1]
TARGETS = {"encoder": 0.925, "static": 0.90}
COLD = """
import sys, time
start = time.perf_counter()
from pathlib import Path
from stepdown.adapters.encoders.minilm import load_minilm
from stepdown.adapters.encoders.static import load_static
from stepdown.train import Expert, load_head
kind, cache, weights, head = sys.argv[1:]
encoder = load_static() if kind == "static" else load_minilm(Path(weights), Path(cache))
Expert(load_head(Path(head)), encoder).predict(["Where is my card?"])
print(time.perf_counter() - start)
"""
Rows = tuple[list[str], list[str]]


def main() -> int:
    """Run the chosen experts and print a table, or one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", choices=sorted(TARGETS))
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "stepdown")
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()
    data = Path(os.environ.get("STEPDOWN_DATA", ROOT.parent / "shared" / "data")) / "banking77"
    if not data.is_dir():
        print("skipped: no banking77 under STEPDOWN_DATA", file=sys.stderr)
        return 0
    kinds = [chosen.only] if chosen.only else sorted(TARGETS)
    train, test = read(data / "train.csv"), read(data / "test.csv")
    found = [measure(kind, chosen.cache, chosen.threads, train, test) for kind in kinds]
    print(json.dumps(found, indent=1) if chosen.json else table(found))
    return 0 if all(row["accuracy"] >= row["target"] for row in found) else 1


def read(path: Path) -> Rows:
    """Return texts and labels."""
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return [row["text"] for row in rows], [row["category"] for row in rows]


def measure(kind: str, cache: Path, threads: int, train: Rows, test: Rows) -> dict[str, Any]:
    """Fit on train, score on test, time single texts and a batch."""
    weights = pull("all-minilm-l6-v2", cache)
    encoder = load_static() if kind == "static" else load_minilm(weights, cache, threads=threads)
    start = time.perf_counter()
    head = fit_head(*train, encoder, task="banking77", name=kind)
    fit_s = time.perf_counter() - start
    expert = Expert(head, encoder)
    path = save_head(head, cache / "bench")
    return {
        "expert": kind,
        "target": TARGETS[kind],
        **quality(expert, test),
        "out_of_fold_accuracy": head.card.out_of_fold_accuracy,
        "penalty": head.card.penalty,
        "temperature": head.card.temperature,
        "lexical_scale": head.card.lexical_scale,
        "fit_s": fit_s,
        **speed(expert, test[0]),
        "cold_start_s": cold_start_s(kind, cache, weights, path),
        "head_bytes": path.stat().st_size,
        "head_digest": head.digest,
        "encoder_digest": encoder.digest,
    }


def quality(expert: Expert, test: Rows) -> dict[str, Any]:
    """Return accuracy, ranking and calibration on the test rows."""
    embeddings = expert.encoder.embed(test[0])
    logits = expert.head.logits(embeddings, expert.lexical(test[0]))
    after, before = softmax(logits, expert.head.card.temperature), softmax(logits)
    guess = np.array(expert.labels)[after.argmax(axis=1)]
    correct = (guess == np.array(test[1])).astype(float)
    confidence = after.max(axis=1).astype(float)
    most = np.argsort(-confidence)[: int(0.8 * len(correct))]
    interval = wilson(int(correct.sum()), len(correct), 0.95)
    return {
        "n_test": len(correct),
        "accuracy": float(correct.mean()),
        "accuracy_low": interval.low,
        "accuracy_high": interval.high,
        "auroc": auroc(confidence, correct),
        "ece_before": ece(before.max(axis=1).astype(float), correct),
        "ece_after": ece(confidence, correct),
        "accuracy_most_confident_80": float(correct[most].mean()),
    }


def speed(expert: Expert, texts: Sequence[str]) -> dict[str, float]:
    """Return the median and 99th percentile for one text, and the rate of one large call."""
    spent = []
    for text in texts[:500]:
        start = time.perf_counter()
        expert.predict([text])
        spent.append(time.perf_counter() - start)
    start = time.perf_counter()
    expert.predict_proba(texts[:1000])
    rate = len(texts[:1000]) / (time.perf_counter() - start)
    p50, p99 = np.percentile(spent, [50, 99]) * 1e3
    return {"p50_ms": float(p50), "p99_ms": float(p99), "texts_per_s": rate}


def cold_start_s(kind: str, cache: Path, weights: Path, head: Path) -> float:
    """Return seconds from the first import to the first answer, median of three processes."""
    command = [sys.executable, "-c", COLD, kind, str(cache), str(weights), str(head)]
    runs = [subprocess.run(command, check=True, capture_output=True, text=True) for _ in range(3)]
    return float(np.median([float(run.stdout) for run in runs]))


def table(found: list[dict[str, Any]]) -> str:
    """Return one line a figure, one column an expert."""
    lines = [f"{'banking77':28}" + "".join(f"{row['expert']:>14}" for row in found)]
    figures = [key for key, value in found[0].items() if isinstance(value, (int, float))]
    lines += [f"{name:28}" + "".join(f"{row[name]:>14.5g}" for row in found) for name in figures]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
