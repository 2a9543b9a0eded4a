"""Import recorded outcomes that come as `NAME.queries.parquet` and `NAME.scores.parquet`.

Queries: `query_id`, `prompt`, and `contaminated` where the source knows. Scores: `query_id`,
`model`, `score`, and `cost_usd`, `latency_s`, `answer` or `response`, `confidence` where known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stepdown.adapters.tables.rows import read_rows
from stepdown.core.digest import digest
from stepdown.core.outcome import Outcome
from stepdown.errors import DataError


def read_pair(folder: Path, name: str, *, models: frozenset[str] | None = None) -> list[Outcome]:
    """Return the outcomes of a pair of files, a model as a tier; only `models` when given.

    Rows marked `contaminated` are dropped. Queries with the same prompt are one group.

    Raises:
        DataError: a file is missing, or a row lacks a column or names an unknown query.
    """
    return list(_outcomes(folder, name, models))


def _outcomes(folder: Path, name: str, models: frozenset[str] | None) -> Iterator[Outcome]:
    queries = _queries(folder / f"{name}.queries.parquet")
    scores = folder / f"{name}.scores.parquet"
    for line, row in read_rows(scores):
        at = f"{scores}, line {line}"
        query = queries.get(_need(row, "query_id", at), _UNKNOWN)
        if query is _UNKNOWN:
            raise DataError(f"{at}: query {row['query_id']!r} is not in the file of queries.")
        if query is not None and (models is None or _need(row, "model", at) in models):
            yield _outcome(row, query, at)


_UNKNOWN: Any = object()
Query = tuple[str | None, str | None]


def _queries(path: Path) -> dict[str, Query | None]:
    """Return query id -> (prompt, group), or None for a contaminated query."""
    found: dict[str, Query | None] = {}
    for line, row in read_rows(path):
        prompt = row.get("prompt")
        group = None if prompt is None else digest(prompt).removeprefix("sha256:")[:12]
        kept = None if row.get("contaminated") else (prompt, group)
        found[_need(row, "query_id", f"{path}, line {line}")] = kept
    return found


def _outcome(row: Mapping[str, Any], query: Query, at: str) -> Outcome:
    confidence = row.get("confidence")
    try:
        return Outcome(
            query_id=str(row["query_id"]),
            tier=_need(row, "model", at),
            score=row.get("score"),
            cost_usd=row.get("cost_usd"),
            latency_s=row.get("latency_s"),
            signals={} if confidence is None else {"confidence": confidence},
            answer=row.get("answer", row.get("response")),
            prompt=query[0],
            group=query[1],
        )
    except ValueError as error:
        raise DataError(f"{at}: {error}.") from error


def _need(row: Mapping[str, Any], name: str, at: str) -> str:
    if row.get(name) is None:
        raise DataError(f"{at}: column {name!r} is empty or missing.")
    return str(row[name])
