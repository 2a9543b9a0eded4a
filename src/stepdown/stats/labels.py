"""Labels of rows: which are known, and what they say."""

from dataclasses import dataclass

import numpy as np

from stepdown.stats.arrays import Bools, Floats


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


def no_labels(n: int) -> Labels:
    """Return the labels of n rows before the first one."""
    return Labels(np.zeros(n, dtype=bool), np.zeros(n))
