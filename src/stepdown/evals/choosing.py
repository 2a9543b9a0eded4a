"""Choose the rows of an eval set: no twins, none that was trained on, and a sample by strata.

It sees numbers (`survey`) and asks for texts only of the rows that it must compare.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Literal, TypeAlias

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from stepdown.core.digest import seed_from
from stepdown.evals import twins
from stepdown.evals.drawing import drawn, places, quotas
from stepdown.evals.survey import Survey

Ints: TypeAlias = NDArray[np.int64]
Texts: TypeAlias = Callable[[Ints], Sequence[str]]
Training: TypeAlias = Iterable[tuple[str, str]]  # (where it stands, text)
Duplicates = Literal["drop", "exact", "keep"]

TAKEN, EXACT, OTHERWISE, SAME_ID, NEAR, LEAK, NOT_DRAWN = range(7)
KINDS = {
    EXACT: "duplicate",
    OTHERWISE: "duplicate, answered otherwise",
    SAME_ID: "id used twice",
    NEAR: "near-duplicate",
    LEAK: "in training data",
}


class Asked(Struct, frozen=True, kw_only=True):
    """How rows are chosen. `structured`: a near-duplicate with another reference is kept."""

    sample: int | None = None
    duplicates: Duplicates = "drop"
    allow_leaks: bool = False
    structured: bool = False
    near_most: int = twins.NEAR_MOST


class Leak(Struct, frozen=True):
    """A row that stands in training data: the number of the row, where, how near (0..1)."""

    row: int
    where: str
    text: str
    near: float


class Chosen(Struct, frozen=True, kw_only=True):
    """The fate of every candidate; `twin` is the number of the row that it repeats, -1 for none.

    `near_compared` is how many rows were searched for near-duplicates and leaks.
    """

    fate: NDArray[np.int8]
    twin: Ints
    leaks: tuple[Leak, ...]
    near_compared: int
    trained_on: int
    seed: int
    ids_are_sessions: bool = False
    stratified: bool = False

    @property
    def taken(self) -> Ints:
        """Numbers of the rows that make the set."""
        return np.flatnonzero(self.fate == TAKEN)

    def count(self, fate: int) -> int:
        """Return how many rows met a fate."""
        return int(np.sum(self.fate == fate))


def choose(survey: Survey, asked: Asked, texts: Texts, training: Training = ()) -> Chosen:
    """Return the fate of every candidate of a survey.

    Up to `near_most` rows are compared with each other and with training rows; of more, only as
    many as the sample needs, and without a sample none: equal texts are found in any case.
    """
    fate = np.zeros(len(survey), dtype=np.int8)
    twin = np.full(len(survey), -1, dtype=np.int64)
    if asked.duplicates != "keep":
        _equal(survey, fate, twin)
    _same_ids(survey, fate, twin)
    seed = seed_from(survey.digest)
    queue = places(survey.text, seed)
    pool = _pool(survey, asked, fate, queue)
    said = list(texts(pool)) if pool.size else []
    if asked.duplicates == "drop" and pool.size:
        _near(survey, asked, fate, twin, pool, said)
    search = _Leaks(survey, asked, fate, pool, said)
    search.run(training)
    _draw(survey, asked, fate, queue, pool)
    return Chosen(
        fate=fate,
        twin=twin,
        leaks=search.found,
        near_compared=pool.size,
        trained_on=search.trained_on,
        seed=seed,
        stratified=asked.sample is not None and survey.strata_for(asked.sample) is not None,
        ids_are_sessions=survey.sessions_name_rows(np.flatnonzero(fate == TAKEN)),
    )


def _equal(survey: Survey, fate: NDArray[np.int8], twin: Ints) -> None:
    first = twins.first_of(survey.text)
    again = first != np.arange(first.size)
    otherwise = survey.reference != survey.reference[first]
    fate[again] = np.where(otherwise[again], OTHERWISE, EXACT)
    twin[again] = first[again]


def _same_ids(survey: Survey, fate: NDArray[np.int8], twin: Ints) -> None:
    left = np.flatnonzero((fate == TAKEN) & (survey.id != 0))
    first = left[twins.first_of(survey.id[left])] if left.size else left
    again = left[first != left]
    fate[again] = SAME_ID
    twin[again] = first[first != left]


def _pool(survey: Survey, asked: Asked, fate: NDArray[np.int8], queue: NDArray[np.uint64]) -> Ints:
    """Return the rows to compare text by text: all, or the head of the queue of each stratum."""
    left = np.flatnonzero(fate == TAKEN)
    if left.size <= asked.near_most:
        return left
    if asked.sample is None or asked.sample > asked.near_most:
        return left[:0]
    more = min(2 * asked.sample + 100, asked.near_most)
    strata = survey.strata_for(asked.sample)
    return left[drawn(queue[left], None if strata is None else strata[left], more)]


def _near(
    survey: Survey,
    asked: Asked,
    fate: NDArray[np.int8],
    twin: Ints,
    pool: Ints,
    texts: Sequence[str],
) -> None:
    keys = survey.reference[pool].tolist() if asked.structured else [0] * pool.size
    first = np.array(twins.near_first(texts, keys), dtype=np.int64)
    again = first != np.arange(pool.size)
    fate[pool[again]] = NEAR
    twin[pool[again]] = pool[first[again]]


class _Leaks:
    """Rows that stand in training data: near ones among the rows compared, equal ones among all."""

    def __init__(
        self,
        survey: Survey,
        asked: Asked,
        fate: NDArray[np.int8],
        pool: Ints,
        texts: Sequence[str],
    ) -> None:
        self._survey, self._asked, self._fate = survey, asked, fate
        taken = [i for i, number in enumerate(pool.tolist()) if fate[number] == TAKEN]
        self._rows = [int(pool[i]) for i in taken]
        self._texts = [texts[i] for i in taken]
        self._leaks: dict[int, Leak] = {}
        self.trained_on = 0

    @property
    def found(self) -> tuple[Leak, ...]:
        """The leaks in the order of the rows."""
        return tuple(self._leaks[row] for row in sorted(self._leaks))

    def run(self, training: Training) -> None:
        for chunk in _chunks(training, self._asked.near_most):
            self.trained_on += len(chunk)
            self._equal(chunk)
            near = twins.leaks(self._texts, [text for _, text in chunk]) if self._texts else {}
            for place, (there, how) in near.items():
                self._note(Leak(self._rows[place], *chunk[there], how))
        if not self._asked.allow_leaks:
            self._fate[list(self._leaks)] = LEAK

    def _equal(self, chunk: Sequence[tuple[str, str]]) -> None:
        there = {twins.hash_of(twins.plain(text)): (where, text) for where, text in chunk}
        hashes = np.array(list(there), dtype=np.uint64)
        met = np.flatnonzero((self._fate == TAKEN) & np.isin(self._survey.text, hashes))
        for row in met.tolist():
            self._note(Leak(row, *there[int(self._survey.text[row])], 1.0))

    def _note(self, leak: Leak) -> None:
        if leak.row not in self._leaks or leak.near > self._leaks[leak.row].near:
            self._leaks[leak.row] = leak


def _chunks(training: Training, size: int) -> Iterator[list[tuple[str, str]]]:
    rows = iter(training)
    while chunk := list(islice(rows, size)):
        yield chunk


def _draw(
    survey: Survey,
    asked: Asked,
    fate: NDArray[np.int8],
    queue: NDArray[np.uint64],
    pool: Ints,
) -> None:
    """Leave out what is not drawn. Strata have the shares of all rows without their twins."""
    left = np.flatnonzero(fate == TAKEN)
    if asked.sample is None or left.size <= asked.sample:
        return
    among = np.intersect1d(left, pool) if pool.size else left
    found = survey.strata_for(asked.sample)
    strata = np.zeros(fate.size, dtype=np.int64) if found is None else found
    sizes = np.bincount(strata[left], minlength=1).tolist()
    given = quotas(sizes, asked.sample)
    kept = np.zeros(fate.size, dtype=bool)
    for name, quota in enumerate(given):
        rows = among[strata[among] == name]
        kept[rows[np.argsort(queue[rows], kind="stable")[:quota]]] = True
    fate[left[~kept[left]]] = NOT_DRAWN
