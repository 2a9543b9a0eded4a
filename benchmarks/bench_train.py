"""Measure the head recipe on its figures, beside TF-IDF with logistic regression (scikit-learn).

Usage: python benchmarks/bench_train.py [--json] [--part full|few|scope|desk|speed]...
           [--cache DIR] [--seeds N]

Reads STEPDOWN_DATA (default ../shared/data). Heads are measured as the file that is shipped: saved,
loaded again, asked through the expert. Every choice was made on training rows; a test row is scored
once. `full`: banking77, its own train and test file. `few`: 16 rows a class, mean of the seeds.
`scope`: no data set with out-of-scope texts is at hand, so some intents are held out: nothing of
them is trained, and all of their test rows are out of scope. The limit is set on training rows so
that 95% of those in scope are kept. `desk`: yes/no, routing, urgency and sentiment on supportdesk,
cross-validated by near-duplicate groups. `speed`: fit and answers of both encoders; give it a quiet
machine. SetFit is not measured here: it needs torch.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench_experts import ROOT, Rows, read
from stepdown.adapters.encoders.minilm import load_minilm
from stepdown.adapters.encoders.static import load_static
from stepdown.adapters.weights import pull
from stepdown.evals.dataset import Sample
from stepdown.evals.split import group_samples
from stepdown.ports.encoder import Encoder
from stepdown.stats.calibrate import auroc, ece
from stepdown.stats.intervals import proportion_interval, wilson
from stepdown.train import Expert, fit_head, load_head, save_head
from stepdown.train.folds import assign_folds

PARTS = ("full", "few", "scope", "desk", "speed")
TFIDF = "TF-IDF + LR"
KEPT_IN_SCOPE = 0.95
HELD_OUT = 15  # of 77 intents; of the desk's 30: 6
TARGETS = (
    "static .905 and MiniLM .93 full, MiniLM .88 at 16 a class, ECE .03, AUROC .88, fit 60 s, "
    "p50 0.3 and 6 ms, 20,000 and 300 texts/s, 25 MB"
)
Predict = Callable[[Sequence[str]], tuple[list[str], NDArray[np.float64]]]


class Remembering:
    """An encoder that embeds each text once, so that ten seeds do not embed one text ten times."""

    def __init__(self, encoder: Encoder) -> None:
        self.name, self.digest, self.dim = encoder.name, encoder.digest, encoder.dim
        self.inner, self._known = encoder, {}

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            self._known.update(zip(new, self.inner.embed(new), strict=True))
        return np.array([self._known[text] for text in texts], dtype=np.float32)


def main() -> int:
    """Run the chosen parts and print tables, or one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--part", action="append", choices=PARTS)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "stepdown")
    parser.add_argument("--seeds", type=int, default=10)
    chosen = parser.parse_args()
    data = Path(os.environ.get("STEPDOWN_DATA", ROOT.parent / "shared" / "data"))
    if not (data / "banking77").is_dir():
        print("skipped: no banking77 under STEPDOWN_DATA", file=sys.stderr)
        return 0
    weights = pull("all-minilm-l6-v2", chosen.cache)
    encoders = {
        "static": Remembering(load_static()),
        "MiniLM": Remembering(load_minilm(weights, chosen.cache, threads=2)),
    }
    banking = read(data / "banking77" / "train.csv"), read(data / "banking77" / "test.csv")
    work: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "full": lambda: full(encoders, *banking),
        "few": lambda: few(encoders, *banking, chosen.seeds),
        "scope": lambda: scope(encoders, *banking, min(5, chosen.seeds)),
        "desk": lambda: desk(encoders, data / "supportdesk" / "messages.jsonl"),
        "speed": lambda: speed(encoders, *banking),
    }
    found = {}
    for name in chosen.part or PARTS:
        found[name] = work[name]()
        if not chosen.json:
            print(table(name, found[name]), flush=True)
    if chosen.json:
        print(json.dumps(found, indent=1))
    else:
        print(f"targets: {TARGETS}")
    return 0


def methods(encoders: dict[str, Remembering]) -> dict[str, Callable[..., Any]]:
    """Return what fits (texts, labels) and gives a predictor, by name."""
    heads = {name: lambda t, y, e=e: _predictor(shipped(t, y, e)) for name, e in encoders.items()}
    return {TFIDF: tfidf, **heads}


def shipped(texts: Sequence[str], labels: Sequence[str], encoder: Encoder) -> Expert:
    """Fit a head, write it, and return what the file says."""
    head = fit_head(texts, labels, encoder, task="bench", name="head")
    with tempfile.TemporaryDirectory() as folder:
        return Expert(load_head(save_head(head, Path(folder)), head.digest), encoder)


def _predictor(expert: Expert) -> Predict:
    def predict(texts: Sequence[str]) -> tuple[list[str], NDArray[np.float64]]:
        found = expert.predict(texts)
        return [p.label for p in found], np.array([max(p.label_probs.values()) for p in found])

    return predict


def tfidf(texts: Sequence[str], labels: Sequence[str]) -> Predict:
    """Words and pairs of words, C of three by a held-out fifth of the rows."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    def made(c: float) -> Any:
        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
        return make_pipeline(words, LogisticRegression(C=c, max_iter=300))

    held = assign_folds(labels, list(texts), 5, 1) == 0
    inside = [
        [one for one, out in zip(part, held, strict=True) if not out] for part in (texts, labels)
    ]
    outside = [
        [one for one, out in zip(part, held, strict=True) if out] for part in (texts, labels)
    ]
    best = max((1.0, 10.0, 100.0), key=lambda c: made(c).fit(*inside).score(*outside))
    model = made(best).fit(list(texts), list(labels))

    def predict(asked: Sequence[str]) -> tuple[list[str], NDArray[np.float64]]:
        probabilities = model.predict_proba(list(asked))
        return list(model.classes_[probabilities.argmax(axis=1)]), probabilities.max(axis=1)

    return predict


def full(encoders: dict[str, Remembering], train: Rows, test: Rows) -> list[dict[str, Any]]:
    """Score each method on the test file after the whole train file."""
    return [{"method": n, **quality(fit(*train), test)} for n, fit in methods(encoders).items()]


def quality(predict: Predict, test: Rows) -> dict[str, Any]:
    said, sure = predict(test[0])
    right = np.array([a == b for a, b in zip(said, test[1], strict=True)], dtype=float)
    interval = wilson(int(right.sum()), len(right), 0.95)
    return {
        "n": len(right),
        "accuracy": right.mean(),
        "low": interval.low,
        "high": interval.high,
        "AUROC": auroc(sure, right),
        "ECE": ece(sure, right),
    }


def few(
    encoders: dict[str, Remembering], train: Rows, test: Rows, seeds: int, each: int = 16
) -> list[dict[str, Any]]:
    """Score each method after `each` rows a class, drawn `seeds` times."""
    found = []
    for name, fit in methods(encoders).items():
        rows = [quality(fit(*_drawn(train, each, seed)), test) for seed in range(seeds)]
        mean = {
            key: float(np.mean([row[key] for row in rows])) for key in ("accuracy", "AUROC", "ECE")
        }
        spread = float(np.std([row["accuracy"] for row in rows], ddof=1)) if seeds > 1 else None
        found.append({"method": name, "rows a class": each, "seeds": seeds, **mean, "sd": spread})
    return found


def _drawn(rows: Rows, each: int, seed: int) -> Rows:
    rng, labels = np.random.default_rng(seed), np.array(rows[1])
    places = [
        place
        for label in sorted(set(rows[1]))
        for place in rng.choice(np.flatnonzero(labels == label), each, replace=False).tolist()
    ]
    return [rows[0][at] for at in places], [rows[1][at] for at in places]


def scope(
    encoders: dict[str, Remembering], train: Rows, test: Rows, seeds: int
) -> list[dict[str, Any]]:
    """Hold intents out, and tell how many of theirs are seen to be out of scope."""
    found = []
    for name, encoder in encoders.items():
        rows = [_scoped(encoder, train, test, seed) for seed in range(seeds)]
        keys = ("in-scope accuracy", "kept in scope", "out-of-scope recall", "AUROC of scope")
        mean = {key: float(np.mean([row[key] for row in rows])) for key in keys}
        found.append({"method": name, "held out": HELD_OUT, "draws": seeds, **mean})
    return found


def _scoped(encoder: Encoder, train: Rows, test: Rows, seed: int) -> dict[str, float]:
    rng = np.random.default_rng(seed)
    out = set(rng.choice(sorted(set(train[1])), HELD_OUT, replace=False).tolist())
    inside = [(t, y) for t, y in zip(*train, strict=True) if y not in out]
    limit_rows = rng.random(len(inside)) < 0.2
    fitted = [pair for pair, kept in zip(inside, limit_rows, strict=True) if not kept]
    expert = shipped([t for t, _ in fitted], [y for _, y in fitted], encoder)
    apart = [t for (t, _), kept in zip(inside, limit_rows, strict=True) if kept]
    limit = float(np.quantile([p.in_scope for p in expert.predict(apart)], 1 - KEPT_IN_SCOPE))
    said = expert.predict(test[0])
    strange = np.array([y in out for y in test[1]])
    scores = np.array([p.in_scope for p in said])
    kept = scores >= limit
    right = np.array([p.label == y for p, y in zip(said, test[1], strict=True)])
    return {
        "in-scope accuracy": float((right & kept)[~strange].mean()),
        "kept in scope": float(kept[~strange].mean()),
        "out-of-scope recall": float((~kept)[strange].mean()),
        "AUROC of scope": float(auroc(scores, (~strange).astype(float)) or 0.0),
    }


def desk(encoders: dict[str, Remembering], path: Path) -> list[dict[str, Any]]:
    """Cross-validate each method on the labels of the support desk."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    texts = [row["text"] for row in rows]
    samples = [Sample(id=row["id"], input=row["text"], reference="") for row in rows]
    groups = list(group_samples(samples).values())
    tasks = {
        name: [row[name] for row in rows]
        for name in ("intent", "department", "urgency", "sentiment")
    }
    tasks["angry? (yes/no)"] = ["yes" if s == "negative" else "no" for s in tasks["sentiment"]]
    found = []
    for task, labels in tasks.items():
        folds = assign_folds(labels, groups, 5, 1)
        for name, fit in methods(encoders).items():
            right, sure = np.zeros(len(rows)), np.zeros(len(rows))
            for fold in range(5):
                held = np.flatnonzero(folds == fold).tolist()
                inside = np.flatnonzero(folds != fold).tolist()
                predict = fit([texts[i] for i in inside], [labels[i] for i in inside])
                said, sure[held] = predict([texts[i] for i in held])
                right[held] = [a == labels[i] for a, i in zip(said, held, strict=True)]
            interval = proportion_interval(right, None, 0.95)
            found.append(
                {
                    "task": task,
                    "method": name,
                    "n": len(rows),
                    "accuracy": right.mean(),
                    "low": interval.low,
                    "high": interval.high,
                    "AUROC": auroc(sure, right),
                    "ECE": ece(sure, right),
                }
            )
    return found


def speed(encoders: dict[str, Remembering], train: Rows, test: Rows) -> list[dict[str, Any]]:
    """Time a fit with its embedding, single texts and a batch; processor time beside each."""
    found = []
    for name, remembering in encoders.items():
        encoder = remembering.inner
        encoder.embed(train[0][:8])
        wall, cpu = time.perf_counter(), time.process_time()
        head = fit_head(train[0][:10_000], train[1][:10_000], encoder, task="bench", name="head")
        fit_s, fit_cpu_s = time.perf_counter() - wall, time.process_time() - cpu
        with tempfile.TemporaryDirectory() as folder:
            path = save_head(head, Path(folder))
            size, expert = path.stat().st_size, Expert(load_head(path, head.digest), encoder)
        expert.predict(test[0][:50])
        one = []
        for text in test[0][:500]:
            begun = time.perf_counter()
            expert.predict([text])
            one.append(time.perf_counter() - begun)
        rates = [_rate(expert, test[0][:1000]) for _ in range(5)]
        found.append(
            {
                "method": name,
                "fit s": fit_s,
                "fit CPU s": fit_cpu_s,
                "p50 ms": float(np.median(one) * 1e3),
                "texts/s": max(rate for rate, _ in rates),
                "CPU µs/text": min(cpu for _, cpu in rates),
                "head MB": size / 1e6,
                "load": os.getloadavg()[0],
            }
        )
    return found


def _rate(expert: Expert, texts: Sequence[str]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    expert.predict_proba(texts)
    took = time.perf_counter() - wall
    return len(texts) / took, (time.process_time() - cpu) / len(texts) * 1e6


def table(name: str, rows: Sequence[dict[str, Any]]) -> str:
    """Return the rows under their names."""
    keys = list(rows[0])
    told = [[_cell(row[key]) for key in keys] for row in rows]
    widths = [max(map(len, column)) for column in zip(keys, *told, strict=True)]
    lines = [
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True))
        for row in [keys, *told]
    ]
    return f"\n{name}\n" + "\n".join(line.rstrip() for line in lines)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 100 else f"{value:,.0f}"
    return "-" if value is None else str(value)


if __name__ == "__main__":
    sys.exit(main())
