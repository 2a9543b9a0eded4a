"""Recorded populations: real answers with a confidence, built from STEPDOWN_DATA.

Needs the shared data and the static encoder that ships with the package. Experts and routers are
fitted here on rows that are then left out of the population.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from traffic.population import Floats, Ints, Population

ROOT = Path(__file__).parents[2]
PENALTY = 0.3  # per training row, of the linear heads fitted here
ROUTER_ROWS = 2000  # on which a router before the call is fitted
PRIOR_ROWS = 10  # that the overall accuracy counts for in a subject's
BANKING_ROWS = {"banking77, 8 a label": 616, "banking77, 2,500 rows": 2500}
VERBALISED = "qwen2.5-math-1.5b-student@t3"
SMALL, LARGE = "mistralai/Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview"
Bools = NDArray[np.bool_]


def folder() -> Path:
    """Return where the shared data is expected."""
    return Path(os.environ.get("STEPDOWN_DATA", ROOT.parent / "shared" / "data"))


def available() -> bool:
    """Say whether the shared data is there."""
    return (folder() / "outcomes").is_dir() and (folder() / "banking77").is_dir()


@cache
def looked_at() -> tuple[Population, ...]:
    """Return the populations that were seen while the rule was being built."""
    return (
        *banking(),
        *mixtral_against_gpt4(),
        verbalised(),
        agreement(
            "MMLU-Pro, 6 models agree",
            "mmlu_pro",
            "Meta-Llama-3_1-8B-Instruct",
            (
                "Mixtral-8x7B-Instruct-v0.1",
                "mathstral-7B",
                "Phi-3-mini-4k-instruct",
                "Qwen1.5-72B-Chat",
                "gemini-1.5-flash-002",
            ),
        ),
        agreement(
            "GSM8K, 5 models agree",
            "zeroeval_gsm",
            "Qwen2-7B-Instruct",
            (
                "Meta-Llama-3-8B-Instruct",
                "Mistral-Nemo-Instruct-2407",
                "Phi-3.5-mini-instruct",
                "gemma-2-9b-it",
            ),
        ),
        *before_the_call("14 tasks, 8B", "llama-3.1-8b-instruct"),
    )


@cache
def fresh() -> tuple[Population, ...]:
    """Return populations first drawn from when the rule was fixed."""
    return (
        agreement(
            "GSM8K, 4 models agree",
            "zeroeval_gsm",
            "gpt-3.5-turbo-0125",
            ("Yi-1.5-34B-Chat", "Mixtral-8x7B-Instruct-v0.1", "reka-flash-20240226"),
        ),
        agreement(
            "MMLU-Pro, 4 large agree",
            "mmlu_pro",
            "gemini-1.5-flash-002",
            ("Meta-Llama-3_1-70B-Instruct", "Qwen1.5-72B-Chat", "gemini-1.5-pro-002"),
        ),
        *before_the_call("14 tasks, 51B", "llama-3.1-nemotron-51b-instruct"),
        *before_the_call("14 tasks, 9B", "gemma-2-9b-it"),
    )


def banking() -> list[Population]:
    """Return narrow experts on banking77, fitted on more and more rows; confidence: top label."""
    texts, labels = _banking_rows()
    names = sorted(set(labels))
    coded = np.searchsorted(names, labels)
    vectors = _embed(texts)
    order = np.random.default_rng(0).permutation(len(texts))
    splits = {name: (order[:rows], order[rows:]) for name, rows in BANKING_ROWS.items()}
    splits["banking77, its own split"] = np.split(np.arange(len(texts)), [10_003])
    found = []
    for name, (learn, rest) in splits.items():
        chances = _softmax(_fit(vectors[learn], coded[learn], len(names)).logits(vectors[rest]))
        right = chances.argmax(axis=1) == coded[rest]
        found.append(Population(name, chances.max(axis=1), right.astype(float), recorded=True))
    return found


def mixtral_against_gpt4() -> list[Population]:
    """Return MMLU questions on which Mixtral scores no less than GPT-4, seen before the call."""
    difference = differences("routellm_mmlu", SMALL, LARGE)
    return _routers("Mixtral no worse than GPT-4", "routellm_mmlu", difference >= 0, difference)


def differences(source: str, small: str, large: str) -> Floats:
    """Return score(small) - score(large) per query; NaN where unknown or contaminated."""
    difference = _score(source, small) - _score(source, large)
    contaminated = np.array(_queries(source).get("contaminated", [False] * difference.size), bool)
    return np.where(contaminated, np.nan, difference)


def before_the_call(name: str, model: str) -> list[Population]:
    """Return one of nine models on 14 tasks, right where its score is at least a half."""
    score = _score("llmrouter_dcrouter", model)
    return _routers(name, "llmrouter_dcrouter", score >= 0.5, score)


def verbalised() -> Population:
    """Return a 1.5B model's own statement of its confidence; none stated counts as none."""
    stated = _column("anytime_gsm8k", VERBALISED, "confidence")
    confidence = np.array([-1.0 if c is None or np.isnan(c) else c for c in stated])
    right = _score("anytime_gsm8k", VERBALISED)
    return Population("GSM8K, verbalised", confidence, right, recorded=True)


def agreement(name: str, source: str, first: str, others: Sequence[str]) -> Population:
    """Return the first model's answers; confidence: how many others answer the same."""
    own, score = _column(source, first, "answer"), _score(source, first)
    same = [
        [a is not None and a == b for a, b in zip(own, _column(source, o, "answer"), strict=True)]
        for o in others
    ]
    confidence = np.sum(same, axis=0).astype(float)
    known = ~np.isnan(score)
    return Population(name, confidence[known], score[known], recorded=True)


def router(source: str, right: Bools, known: Floats) -> tuple[Floats, Ints, Ints]:
    """Return a linear head's chance that the answer is right, for the rows not fitted on.

    `known` is NaN on rows to leave out. Returns (chances, their rows, the rows fitted on).
    """
    rows = np.flatnonzero(~np.isnan(known))
    order = rows[np.random.default_rng(0).permutation(rows.size)]
    learn, rest = order[:ROUTER_ROWS], order[ROUTER_ROWS:]
    features = _features(source)
    head = _fit(features[learn], right[learn].astype(np.intp), 2, 30.0)
    return _softmax(head.logits(features[rest]))[:, 1], rest, learn


def _routers(name: str, source: str, right: Bools, known: Floats) -> list[Population]:
    """Return two confidences before the call: a linear head on the text, the task's accuracy."""
    by_text, rest, learn = router(source, right, known)
    names, coded = np.unique(np.array(_queries(source)["task"]), return_inverse=True)
    counts = np.bincount(coded[learn], minlength=len(names))
    sums = np.bincount(coded[learn], right[learn], len(names))
    shrunk = (sums + PRIOR_ROWS * right[learn].mean()) / (counts + PRIOR_ROWS)
    truth = right[rest].astype(float)
    return [
        Population(f"{name}, by text", by_text, truth, recorded=True),
        Population(f"{name}, by task", shrunk[coded[rest]], truth, recorded=True),
    ]


def _banking_rows() -> tuple[list[str], list[str]]:
    rows: list[dict[str, str]] = []
    for part in ("train", "test"):
        with (folder() / "banking77" / f"{part}.csv").open(encoding="utf-8", newline="") as file:
            rows += csv.DictReader(file)
    return [row["text"] for row in rows], [row["category"] for row in rows]


@cache
def _queries(source: str) -> dict[str, list[Any]]:
    import pyarrow.parquet as pq

    table: dict[str, list[Any]] = pq.read_table(_file(source, "queries")).to_pydict()
    return table


@cache
def _features(source: str) -> Any:
    """Return the embedded prompts beside the one-hot task, a row a query."""
    queries = _queries(source)
    names, coded = np.unique(np.array(queries["task"]), return_inverse=True)
    one_hot = np.eye(len(names), dtype=np.float32)[coded]
    return np.hstack([_embed(queries["prompt"]), 0.7 * one_hot])


@cache
def _column(source: str, model: str, column: str) -> list[Any]:
    """Return a column of a model's rows in the order of the queries, None where there is no row."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    wanted = pc.field("model").cast("string") == model
    table = pq.read_table(
        _file(source, "scores"), columns=["query_id", "model", column], filters=wanted
    )
    rows = dict(zip(table["query_id"].to_pylist(), table[column].to_pylist(), strict=True))
    return [rows.get(query) for query in _queries(source)["query_id"]]


def _score(source: str, model: str) -> Floats:
    return np.array([np.nan if s is None else s for s in _column(source, model, "score")])


def _file(source: str, part: str) -> Path:
    return folder() / "outcomes" / f"{source}.{part}.parquet"


def _embed(texts: Sequence[str]) -> Any:
    from stepdown.adapters.encoders.static import load_static

    return load_static().embed(texts)


def _fit(features: Any, labels: Any, n_labels: int, penalty: float = PENALTY) -> Any:
    from stepdown.train.logistic import fit_path

    path = (penalty / len(labels),)
    fitted = fit_path(features, labels, n_labels, path, max_iterations=200, tolerance=1e-5)
    return fitted[0]


def _softmax(logits: Any) -> Floats:
    raised = np.exp(logits.astype(float) - logits.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))
