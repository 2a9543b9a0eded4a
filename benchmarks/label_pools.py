"""Pairs of recorded models as pools for bench_labels: equal answers, differences, a confidence.

Sources: STEPDOWN_DATA/outcomes. Where answers are not recorded, two wrong answers count as
different, so that the number of disagreements is not understated.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Strings = NDArray[np.object_]
NUMBER = re.compile(r"-?\d[\d,]*\.?\d*")


@dataclass(frozen=True, slots=True)
class Pool:
    """One pair: per row whether answers are equal, both scores, and features for a confidence."""

    name: str
    agree: NDArray[np.bool_]
    small: Floats
    ceiling: Floats
    features: Floats
    task: Strings
    answers_known: bool

    @property
    def n(self) -> int:
        return int(self.agree.size)

    def rows(self, chosen: NDArray[np.int64]) -> "Pool":
        parts = (self.agree, self.small, self.ceiling, self.features, self.task)
        return Pool(self.name, *(part[chosen] for part in parts), self.answers_known)


def data_folder() -> Path:
    return Path(os.environ.get("STEPDOWN_DATA", "../shared/data"))


@dataclass(frozen=True, slots=True)
class Recorded:
    """A source: query -> (score, answer) of each model, and each query's task and prompt length."""

    by_model: dict[str, dict[str, tuple[float, str | None, float]]]
    task: dict[str, str]
    length: dict[str, float]


def recorded(source: str) -> Recorded:
    import pyarrow.parquet as pq

    folder = data_folder() / "outcomes"
    asked = pq.read_table(folder / f"{source}.queries.parquet").to_pydict()
    said = pq.read_table(folder / f"{source}.scores.parquet").to_pydict()
    stained = asked.get("contaminated") or [False] * len(asked["query_id"])
    seen: set[str] = set()
    kept: dict[str, tuple[str, float]] = {}
    rows = zip(asked["query_id"], asked["prompt"], asked["task"], stained, strict=True)
    for query, prompt, task, bad in rows:
        if not bad and prompt not in seen:
            seen.add(prompt)
            kept[query] = (task, float(np.log1p(len(prompt))))
    by_model: dict[str, dict[str, tuple[float, str | None, float]]] = {}
    empty = [None] * len(said["query_id"])
    answers = said.get("answer") or [last_number(t) for t in said.get("response") or empty]
    verbal = said.get("confidence") or empty
    tokens = said.get("out_tokens") or empty
    columns = (said["query_id"], said["model"], said["score"], answers, verbal, tokens)
    for query, model, score, answer, sure, size in zip(*columns, strict=True):
        if query in kept and score is not None:
            extra = sure if sure is not None else np.log1p(size or 0.0)
            by_model.setdefault(model, {})[query] = (score, answer, float(extra))
    tasks = {query: task for query, (task, _) in kept.items()}
    return Recorded(by_model, tasks, {query: size for query, (_, size) in kept.items()})


def last_number(text: str | None) -> str | None:
    found = NUMBER.findall(text or "")
    return found[-1].replace(",", "").rstrip(".") if found else None


def same(mine: tuple[float, str | None, float], other: tuple[float, str | None, float]) -> bool:
    if mine[1] is not None and other[1] is not None:
        return mine[1] == other[1]
    return mine[0] == other[0] == 1.0


def pair(source: str, data: Recorded, small: str, ceiling: str, helpers: Sequence[str]) -> Pool:
    """Return the rows with 0/1 scores of both; `helpers` are cheap models that may agree."""
    a, b = data.by_model[small], data.by_model[ceiling]
    rows = [q for q in data.task if q in a and q in b and {a[q][0], b[q][0]} <= {0.0, 1.0}]
    known = any(a[q][1] is not None for q in rows)
    votes = [
        [float(q in data.by_model[h] and same(a[q], data.by_model[h][q])) for h in helpers]
        for q in rows
    ]
    features = np.array(
        [[*v, sum(v), a[q][2], data.length[q]] for q, v in zip(rows, votes, strict=True)]
        if known
        else [[a[q][2], data.length[q]] for q in rows]
    )
    return Pool(
        name=f"{source}: {small} / {ceiling}",
        agree=np.array([same(a[q], b[q]) and a[q][0] == b[q][0] for q in rows]),
        small=np.array([a[q][0] for q in rows]),
        ceiling=np.array([b[q][0] for q in rows]),
        features=features,
        task=np.array([data.task[q] for q in rows], dtype=object),
        answers_known=known,
    )


PAIRS: dict[str, tuple[tuple[str, str, tuple[str, ...]], ...]] = {
    "mmlu_pro": (
        (
            "Meta-Llama-3_1-8B-Instruct",
            "Meta-Llama-3_1-70B-Instruct",
            ("mathstral-7B", "Phi-3-mini-4k-instruct"),
        ),
        ("mathstral-7B", "DeepSeek-Coder-V2", ("Meta-Llama-3_1-8B-Instruct", "gemma-7b")),
        (
            "Meta-Llama-3_1-70B-Instruct",
            "gemini-1.5-pro-002",
            ("Meta-Llama-3_1-8B-Instruct", "mathstral-7B"),
        ),
        (
            "gemini-1.5-flash-002",
            "gemini-1.5-pro-002",
            ("Meta-Llama-3_1-8B-Instruct", "mathstral-7B"),
        ),
    ),
    "zeroeval_gsm": (
        (
            "Meta-Llama-3.1-8B-Instruct",
            "Llama-3.1-405B-Instruct-Turbo",
            ("Qwen2-7B-Instruct", "gemma-2-9b-it"),
        ),
        (
            "gemma-2-9b-it",
            "claude-3-5-sonnet-20241022",
            ("Meta-Llama-3.1-8B-Instruct", "Qwen2-7B-Instruct"),
        ),
        (
            "gpt-4o-mini-2024-07-18",
            "gpt-4o-2024-08-06",
            ("Meta-Llama-3.1-8B-Instruct", "gemma-2-9b-it"),
        ),
        (
            "claude-3-haiku-20240307",
            "claude-3-5-sonnet-20240620",
            ("Meta-Llama-3.1-8B-Instruct", "gemma-2-9b-it"),
        ),
        (
            "Mixtral-8x7B-Instruct-v0.1",
            "Mistral-Large-2",
            ("Mistral-Nemo-Instruct-2407", "Qwen2-7B-Instruct"),
        ),
    ),
    "routellm_mmlu": (("mistralai/Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview", ()),),
    "routellm_gsm8k": (("mistralai/Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview", ()),),
    "llmrouter_dcrouter": (
        ("gemma-2-9b-it", "llama-3.1-nemotron-51b-instruct", ()),
        ("llama-3.1-8b-instruct", "llama-3.1-nemotron-51b-instruct", ()),
    ),
    "anytime_gsm8k": (
        ("qwen2.5-math-1.5b-student@t1", "qwen2.5-math-1.5b-student@t2", ()),
        ("qwen2.5-math-1.5b-student@t1", "qwen2.5-math-1.5b-student@t4", ()),
    ),
}


def pools() -> list[Pool]:
    found: list[Pool] = []
    for source, pairs in PAIRS.items():
        data = recorded(source)
        found += [pair(source, data, *one) for one in pairs]
    return found


def confidence(fit_on: Pool, target: Floats, rows: Pool) -> Floats:
    """Return a linear prediction of `target` (n_fit,) for other rows: features, task prior.

    Ridge regression; the task's prior is its mean shrunk by 10 rows. A ranking, nothing more.
    """
    base = float(target.mean())
    prior = {
        name: (target[fit_on.task == name].sum() + 10 * base) / ((fit_on.task == name).sum() + 10)
        for name in set(fit_on.task)
    }
    middle, spread = fit_on.features.mean(axis=0), fit_on.features.std(axis=0) + 1e-9

    def design(pool: Pool) -> Floats:
        told = np.array([prior.get(name, base) for name in pool.task])
        return np.column_stack([(pool.features - middle) / spread, told - base, np.ones(pool.n)])

    x = design(fit_on)
    weights = np.linalg.solve(x.T @ x + 3.0 * np.eye(x.shape[1]), x.T @ target)
    return np.asarray(design(rows) @ weights)
