"""Outcome tables beside a project: whose rows they are, and which part of its split each is in."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np

from stepdown.adapters.tables.outcome_panel import wanted
from stepdown.adapters.tables.paired_files import ENDINGS, is_pair, pair_of
from stepdown.config.project import FILE
from stepdown.core.digest import digest, digest_bytes
from stepdown.core.replay_array import Panel
from stepdown.core.task import Task
from stepdown.errors import DataError
from stepdown.wiring.certifying import Gathered
from stepdown.wiring.workspace import Workspace

Column = TypeVar("Column")


def of_project(root: Path, path: Path, table: Panel) -> Workspace | None:
    """Return the project in a folder when the outcomes are of its data, None when none are.

    Raises:
        DataError: some of the queries are in the data and some are not.
    """
    if not (root if root.is_file() else root / FILE).exists():
        return None
    workspace = Workspace.open(root)
    if workspace.project.data is None:
        return None
    known = set(workspace.whole_split.groups)
    strange = [query for query in table.query_ids if query not in known]
    if not strange:
        return workspace
    if len(strange) == table.n:
        return None
    raise DataError(
        f"{len(strange)} of the {table.n} queries of {path.name} belong to no row of the data, the "
        f"first is {strange[0]!r}; the others do.",
        "Keep only rows of the data, or pass --lock FILE: the table is then certified by itself, "
        "with a split of its own.",
    )


def divide_table(workspace: Workspace, task: Task, table: Panel) -> Gathered:
    """Return the tune and certify rows of a table by the project's own split and groups."""
    split = workspace.whole_split
    mine = of_tiers(table, task.tiers)
    groups = tuple(split.groups[query] for query in mine.query_ids)
    mine = msgspec.structs.replace(mine, groups=groups)
    parts = {}
    for part in ("tune", "certify"):
        inside = {sample.id for sample in split.parts[part]}
        rows = [place for place, query in enumerate(mine.query_ids) if query in inside]
        parts[part] = mine.take(np.array(rows, dtype=np.intp))
    return Gathered(tune=parts["tune"], certify=parts["certify"])


def of_tiers(table: Panel, tiers: Collection[str]) -> Panel:
    """Return the columns of some tiers, of what they polished and of what was bought."""
    keep = wanted(tiers)

    def cut(columns: Mapping[str, Column]) -> dict[str, Column]:
        return {name: column for name, column in columns.items() if keep(name)}

    return msgspec.structs.replace(
        table,
        score=cut(table.score),
        cost_usd=cut(table.cost_usd),
        latency_s=cut(table.latency_s),
        available=cut(table.available),
        failure=cut(table.failure),
        answers=cut(table.answers),
        texts=cut(table.texts),
    )


def digest_of_file(path: Path) -> str:
    """Return the digest of a table's file, of both files of a pair."""
    if not is_pair(path):
        return digest_bytes(path.read_bytes())
    folder, name = pair_of(path)
    return digest([digest_bytes((folder / f"{name}{end}").read_bytes()) for end in ENDINGS])
