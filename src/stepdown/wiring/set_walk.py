"""The samples of an eval, walked: a set of any size, in memory only where it is small.

A small set comes with the project's split, whose groups hold near-duplicates together. To find
those, every text must be compared; a file above `LARGE_BYTES` is walked instead: rows go to a part
by a digest of their group key, otherwise of their text without case, so equal texts stay together
and near ones may not. Its report says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b

from msgspec.structs import replace

from stepdown.core.task import Task
from stepdown.errors import DataError
from stepdown.evals.dataset import Sample
from stepdown.evals.limiting import drawn, smallest
from stepdown.wiring.evaluating import samples_in
from stepdown.wiring.workspace import PARTS, Workspace

LARGE_BYTES = 200_000_000  # some 500,000 short messages: about 2 GB of memory as Python objects
GROUP_BYTES = 8


def is_large(workspace: Workspace) -> bool:
    """Say whether the data are walked and never held."""
    keys = workspace.project.data
    if keys is None:
        return False
    path = workspace.project.root / keys.path
    return path.exists() and path.stat().st_size > LARGE_BYTES


def samples_of(
    workspace: Workspace, task: Task, parts: Sequence[str], limit: int | None
) -> Iterable[Sample]:
    """Return the task's samples of some parts, at most `limit` of them, drawn by their ids."""
    if not is_large(workspace):
        return drawn(samples_in(workspace, task, parts), limit)
    if limit is None:
        return _of_parts(workspace, task, parts)
    chosen = smallest((s.id for s in _of_parts(workspace, task, parts)), limit)
    return (s for s in _of_parts(workspace, task, parts) if s.id in chosen)


def described(workspace: Workspace) -> str:
    """Return how the rows were told apart."""
    if not is_large(workspace):
        return workspace.divided.description
    return (
        f"a file above {LARGE_BYTES / 1e6:,.0f} MB is walked: parts by a digest of the group key "
        "or the text; equal texts stay together, near-duplicates are not looked for"
    )


def _of_parts(workspace: Workspace, task: Task, parts: Sequence[str]) -> Iterator[Sample]:
    """Yield the samples whose group falls into one of the parts."""
    keys = workspace.project.data
    assert keys is not None
    edges, everything = _edges(keys.shares), set(parts) == set(PARTS)
    none = True
    for sample in workspace.walk(task):
        mark = _mark(sample)
        if everything or _part(mark, edges) in parts:
            none = False
            yield replace(sample, group=mark.hex())
    if none:
        raise DataError(
            f"{keys.path} holds no samples of {' and '.join(parts)}.",
            "An eval needs at least one labelled row.",
        )


def _mark(sample: Sample) -> bytes:
    if sample.group is None:
        name = f"text {' '.join(sample.input.casefold().split())}"
    else:
        name = f"key {sample.group}"
    return blake2b(name.encode(), digest_size=GROUP_BYTES).digest()


def _edges(shares: Mapping[str, float]) -> list[tuple[float, str]]:
    """Return where each part ends, on 0..1."""
    found, end = [], 0.0
    for name, share in shares.items():
        end += share
        found.append((end, name))
    return found


def _part(mark: bytes, edges: Sequence[tuple[float, str]]) -> str:
    place = int.from_bytes(mark, "big") / float(1 << 8 * GROUP_BYTES)
    return next((name for end, name in edges if place < end), edges[-1][1])
