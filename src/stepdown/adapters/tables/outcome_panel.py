"""The outcome table straight into arrays: no object a row, for hundreds of thousands of queries.

It reads what `outcome_files` reads. Where anything is wrong or only unusual, that reader reads the
file instead and says what is wrong, so that there is one set of messages.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np

from stepdown.adapters.tables.columns import Batch, Unread, read_batches, size_of
from stepdown.adapters.tables.long_columns import LongColumns
from stepdown.adapters.tables.outcome_files import iter_outcomes
from stepdown.adapters.tables.paired_files import (
    Query,
    as_outcomes,
    is_pair,
    pair_of,
    queries_of,
    renamed,
)
from stepdown.core.outcome import BOUGHT, Outcome
from stepdown.core.replay_array import Panel, panel


def read_panel(path: Path, tiers: Collection[str] | None = None) -> Panel:
    """Return the outcomes in a file as arrays; either file of a pair stands for the pair.

    `tiers`: only these, what they polished among themselves, and what was bought; a query that
    none of them answered is left out.

    Raises:
        DataError: as `read_outcomes`; names file, line and column.
    """
    if is_pair(path):
        return read_pair_panel(*pair_of(path), models=tiers)

    def slowly() -> Iterable[Outcome]:
        return iter_outcomes(path)

    return _read(path, _same, slowly, wanted(tiers))


def read_pair_panel(folder: Path, name: str, *, models: Collection[str] | None = None) -> Panel:
    """Return the outcomes of `NAME.queries.parquet` and `NAME.scores.parquet` as arrays.

    Raises:
        DataError: as `paired_files.read_pair`.
    """
    queries = queries_of(folder, name)

    def slowly() -> Iterable[Outcome]:
        return as_outcomes(folder, name, queries)

    path = folder / f"{name}.scores.parquet"
    return _read(path, renamed, slowly, wanted(models), queries)


def wanted(tiers: Collection[str] | None) -> Callable[[str], bool]:
    """Return whether a name of the `tier` column belongs to some tiers."""
    if tiers is None:
        return lambda _: True
    return lambda name: name.startswith(BOUGHT) or all(part in tiers for part in name.split(">"))


def _same(batch: Batch) -> Batch:
    return batch


def _read(
    path: Path,
    named: Callable[[Batch], Batch],
    slowly: Callable[[], Iterable[Outcome]],
    keep: Callable[[str], bool],
    queries: Mapping[str, Query | None] | None = None,
) -> Panel:
    try:
        table = LongColumns(queries)
        for batch in read_batches(path):
            if size_of(batch):
                table.add(named(batch))
        return table.panel(keep)
    except Unread:
        return _of_some(list(slowly()), keep)


def _of_some(outcomes: Sequence[Outcome], keep: Callable[[str], bool]) -> Panel:
    """Return the panel of some tiers; what is known of a query may stand on any row of it."""
    whole, part = panel(outcomes), panel(o for o in outcomes if keep(o.tier))
    place = {query: i for i, query in enumerate(whole.query_ids)}
    known = whole.take(np.array([place[query] for query in part.query_ids], dtype=np.intp))
    return msgspec.structs.replace(
        part,
        groups=known.groups,
        prompts=known.prompts,
        segments=known.segments,
        truths=known.truths,
    )
