"""Import recorded outcomes that come as `NAME.queries.parquet` and `NAME.scores.parquet`.

Queries: `query_id`, `prompt`, a column that says what kind of query it is (KINDS, the first that is
there, becomes `segment`), the right answer (`gold`), and `contaminated` where the source knows.
Scores: `query_id`, `model`, `score`, and `cost_usd`, `latency_s`, `answer` or `response`,
`confidence` where known.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from stepdown.adapters.tables.outcome_files import SIGNAL, outcome_in, refuse_twice
from stepdown.adapters.tables.rows import read_rows
from stepdown.core.digest import digest
from stepdown.core.outcome import Outcome
from stepdown.errors import DataError

KINDS = ("segment", "subject", "task", "category", "dataset")
TRUTHS = ("truth", "gold")
ENDINGS = (".queries.parquet", ".scores.parquet")
NAMES = {
    "query_id": "query_id",
    "model": "tier",
    "score": "score",
    "cost_usd": "cost_usd",
    "latency_s": "latency_s",
    "answer": "answer",
    "confidence": f"{SIGNAL}confidence",
}


class Query(Struct, frozen=True, kw_only=True):
    """What the file of queries says of a query."""

    prompt: str | None
    group: str | None
    segment: str | None
    truth: str | None


def is_pair(path: Path) -> bool:
    """Say whether a file is one of a pair, by its name."""
    return path.name.endswith(ENDINGS)


def pair_of(path: Path) -> tuple[Path, str]:
    """Return the folder and the name of the pair that a file is one of."""
    ending = next(ending for ending in ENDINGS if path.name.endswith(ending))
    return path.parent, path.name.removesuffix(ending)


def read_pair(folder: Path, name: str, *, models: Collection[str] | None = None) -> list[Outcome]:
    """Return the outcomes of a pair of files, a model as a tier; only `models` when given.

    Rows marked `contaminated` are dropped. Queries with the same prompt are one group.

    Raises:
        DataError: a file is missing, or a row lacks a column, names an unknown query, holds what
            its column does not, or is the second of its query and model.
    """
    found = as_outcomes(folder, name, queries_of(folder, name))
    return [outcome for outcome in found if models is None or outcome.tier in models]


def as_outcomes(folder: Path, name: str, queries: Mapping[str, Query | None]) -> Iterator[Outcome]:
    """Yield the outcomes of a pair one by one; raises as `read_pair` does."""
    scores = folder / f"{name}.scores.parquet"
    seen: dict[tuple[str, str], int] = {}
    for line, row in read_rows(scores):
        at = f"{scores}, line {line}"
        query_id = _need(row, "query_id", at)
        _need(row, "model", at)
        if query_id not in queries:
            raise DataError(f"{at}: query {query_id!r} is not in the file of queries.")
        query = queries[query_id]
        if query is not None:
            outcome = outcome_in(renamed(row) | {n: getattr(query, n) for n in OF_QUERY}, at)
            refuse_twice(seen, outcome, scores, line)
            yield outcome


OF_QUERY = Query.__struct_fields__


def renamed(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row, or a batch of columns, of scores under the outcome table's names."""
    found = {NAMES[name]: value for name, value in row.items() if name in NAMES}
    if "answer" not in found and "response" in row:
        found["answer"] = row["response"]
    return found


def queries_of(folder: Path, name: str) -> dict[str, Query | None]:
    """Return query id -> what is known of the query, None for a contaminated one.

    Raises:
        DataError: the file is missing, or a row has no `query_id`.
    """
    path = folder / f"{name}.queries.parquet"
    found: dict[str, Query | None] = {}
    for line, row in read_rows(path):
        kept = None if row.get("contaminated") else _query(row)
        found[_need(row, "query_id", f"{path}, line {line}")] = kept
    return found


def _query(row: Mapping[str, Any]) -> Query:
    prompt = _first(row, ("prompt",))
    return Query(
        prompt=prompt,
        group=None if prompt is None else digest(prompt).removeprefix("sha256:")[:12],
        segment=_first(row, KINDS),
        truth=_first(row, TRUTHS),
    )


def _first(row: Mapping[str, Any], names: Collection[str]) -> str | None:
    """Return the first of some cells that holds something."""
    return next((str(row[n]) for n in names if row.get(n) not in (None, "")), None)


def _need(row: Mapping[str, Any], name: str, at: str) -> str:
    if row.get(name) is None:
        raise DataError(f"{at}: column {name!r} is empty or missing.")
    return str(row[name])
