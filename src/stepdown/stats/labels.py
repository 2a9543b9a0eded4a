"""Labels of rows: which are known, and what two labellers who disagree leave behind."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from stepdown.errors import DataError
from stepdown.stats.arrays import Bools, Floats, Ints


@dataclass(frozen=True, slots=True)
class Labels:
    """Which rows are labelled (n,), and score(policy) - score(ceiling), read only there.

    `difference` has shape (n,), when every policy that disagrees delivers the same answer, or
    (policies, n).
    """

    known: Bools
    difference: Floats

    @property
    def used(self) -> int:
        """Return the number of labelled rows."""
        return int(self.known.sum())


@dataclass(frozen=True, slots=True)
class Settled:
    """Labels that labellers agree on, and the rows on which they do not."""

    labels: Labels
    conflicts: Ints


def no_labels(n: int) -> Labels:
    """Return the labels of n rows before the first one."""
    return Labels(np.zeros(n, dtype=bool), np.zeros(n))


def settle(*labellers: Labels, resolved: Labels | None = None) -> Settled:
    """Merge labels; a row labelled differently counts as unlabelled until `resolved` has it.

    All of one shape. A conflict is then counted at its worst, so the bound stays valid whoever is
    right. `resolved` wins over every labeller.
    """
    if len({(one.known.shape, one.difference.shape) for one in labellers}) != 1:
        raise DataError("settle: at least one labeller, and labels of one shape, are needed.")
    known = np.array([one.known for one in labellers])
    value = np.array([one.difference for one in labellers])
    first = np.argmax(known, axis=0)
    said = np.take_along_axis(value, _like(first, value[0])[None], axis=0)[0]
    differs = (value != said) & _like(known, value)
    conflict = differs.any(axis=tuple(range(value.ndim - 1)))
    merged = Labels(known.any(axis=0) & ~conflict, said)
    if resolved is None:
        return Settled(merged, np.flatnonzero(conflict))
    told = np.where(_like(resolved.known, said), resolved.difference, said)
    labels = Labels(merged.known | resolved.known, told)
    return Settled(labels, np.flatnonzero(conflict & ~resolved.known))


def _like(rows: ArrayLike, table: Floats) -> Ints:
    """Return one value a row in the shape of a table that has one or more values a row."""
    array = np.asarray(rows)
    while array.ndim < table.ndim:
        array = np.expand_dims(array, -2)
    return np.broadcast_to(array, table.shape)
