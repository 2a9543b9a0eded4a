"""Certify the cheapest policy of a path whose loss against the ceiling stays under epsilon.

A path is a list of policies from the safest (index 0, the ceiling itself, nothing to test) to the
cheapest; its order, and the start, come from other rows. The promise: mean score(policy) -
score(ceiling) > -epsilon on traffic like these rows, with chance at least 1 - delta, for every
policy that is called certified. It does not know what a policy is.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from stepdown.errors import DataError
from stepdown.stats import bounds, paired_exact
from stepdown.stats.arrays import (
    Floats,
    Groups,
    Ints,
    bounded,
    group_codes,
    is_ternary,
    probability,
)
from stepdown.stats.sequence import Step, fallback_path, shares

Scores = Literal["binary", "graded"]
Per = Literal["row", "group"]
EXACT_ROWS = 10_000  # here the exact test takes 1 to 4 seconds a policy, and grows with n**1.5

METHODS = {
    "exact": (
        "exact unconditional likelihood-ratio test of paired 0/1 scores (Lloyd and Moldovan 2007; "
        "Buehler 1957 for the bound)"
    ),
    "betting": (
        "betting on paired differences, mixture over stakes, largest wealth in a seeded order "
        "(Waudby-Smith and Ramdas 2023; Ville 1939)"
    ),
    "counts": "betting on paired differences, mixture over stakes (Waudby-Smith and Ramdas 2023)",
    "groups": "betting on group sums of (difference + epsilon) (Waudby-Smith and Ramdas 2023)",
}
INDEPENDENT = (
    "Rows are drawn independently from the traffic that will be served; order of the path and "
    "start were chosen on other rows."
)
GROUPED = (
    "Groups of rows are independent of each other, and their sizes are those of the traffic that "
    "will be served; order of the path and start were chosen on other rows."
)
PER_GROUP = (
    "The promise is per group: for a row drawn from a group drawn from the traffic. One row of "
    "each group, drawn by the seed, is tested; groups are independent of each other; order of the "
    "path and start were chosen on other rows."
)


@dataclass(frozen=True, slots=True)
class TestedPolicy:
    """One policy of the path. p_value and loss_bound are None where no delta was left to test it.

    `loss` is the observed mean loss; `loss_bound` holds for this policy alone at 1 - delta and is
    for display: what the certificate promises is epsilon.
    """

    index: int
    loss: float
    p_value: float | None
    allowed: float
    passed: bool
    loss_bound: float | None


@dataclass(frozen=True, slots=True)
class PathCertificate:
    """The cheapest policy certified (0, the ceiling: none was) and everything that was tested."""

    chosen: int
    policies: tuple[TestedPolicy, ...]
    epsilon: float
    delta: float
    n: int
    n_groups: int
    starts: tuple[tuple[int, float], ...]
    method: str
    assumptions: str

    @property
    def certified(self) -> bool:
        """Say whether a policy other than the ceiling passed."""
        return self.chosen > 0

    @property
    def p_values(self) -> tuple[float | None, ...]:
        """Return the p-value of each policy, None where it was not tested."""
        return tuple(policy.p_value for policy in self.policies)

    @property
    def loss_bound(self) -> float | None:
        """Return the displayed bound on the loss of the chosen policy; 0 for the ceiling."""
        return self.policies[self.chosen].loss_bound


def worst_case_differences(agree: ArrayLike, known: ArrayLike, difference: ArrayLike) -> Floats:
    """Return paired differences in which an unlabelled disagreement counts as a full loss, -1.

    All arrays of one shape: whether the answers are equal, whether the row is labelled, and
    score(policy) - score(ceiling), read only where the row is labelled and the answers differ.
    Equal answers get 0: it assumes a deterministic scorer. The result never exceeds the true
    differences, so a test that falls with them (all here) stays valid whichever rows were labelled.
    """
    same, labelled = np.asarray(agree, dtype=bool), np.asarray(known, dtype=bool)
    raw = np.asarray(difference, dtype=np.float64)
    if not same.shape == labelled.shape == raw.shape:
        raise DataError(f"shapes differ: {same.shape}, {labelled.shape}, {raw.shape}.")
    told = bounded("difference", np.where(labelled & ~same, raw, 0.0), -1.0, 1.0)
    return np.where(same, 0.0, np.where(labelled, told, -1.0))


def certify_path(
    differences: ArrayLike,
    epsilon: float,
    delta: float,
    start: int,
    groups: Groups | None = None,
    *,
    scores: Scores = "graded",
    seed: int = 0,
    second_start: int | None = None,
    per: Per = "row",
) -> PathCertificate:
    """Test a path of policies from `start` towards cheaper ones, and say how far it passes.

    `differences` has shape (policies, n): score(policy) - score(ceiling) in [-1, 1] per row.
    `scores="binary"` declares that scores are 0/1 by construction (exact match, a label), not by
    accident of these rows: it uses the exact test, which needs about half the rows. 85% of delta
    is spent at `start`, 15% at `second_start` (by default half-way to the ceiling), from which
    the test walks back up; without room for it the first start has all. `seed` is a digest of the
    data and orders the bets of graded scores. Rows in `groups` are bet on by group sums, which
    keeps the promise per row and needs more rows the larger the largest group; `per="group"`
    tests one row of each group instead, and changes the promise, which the result says.
    Source: Wiens (2003) for the shares; see METHODS for the tests.
    """
    table = bounded("differences", differences, -1.0, 1.0)
    if table.ndim != 2:
        raise DataError(f"differences: expected (policies, n), got shape {table.shape}.")
    if scores == "binary" and not is_ternary(table):
        raise DataError(
            "differences: with scores='binary' only -1, 0 and 1 can occur.",
            "Declare scores='graded' for this scorer.",
        )
    assumptions = INDEPENDENT
    if per == "group" and groups is not None:
        table = table[:, one_row_per_group(groups, table.shape[1], seed)]
        groups, assumptions = None, PER_GROUP
    tester = paired_test(table, epsilon, delta, groups, scores, seed, assumptions)
    return _certify(tester, -_means(table), start, second_start)


def certify_path_counts(
    n_minus: ArrayLike,
    n_plus: ArrayLike,
    n: int,
    epsilon: float,
    delta: float,
    start: int,
    *,
    second_start: int | None = None,
) -> PathCertificate:
    """Do what `certify_path` does for independent rows of 0/1 scores, from counts per policy.

    `n_minus` and `n_plus`: rows of n on which each policy scores 1 less, 1 more than the ceiling.
    """
    minus, plus = np.asarray(n_minus, dtype=np.int64), np.asarray(n_plus, dtype=np.int64)
    if minus.shape != plus.shape or minus.ndim != 1 or np.any(minus + plus > n):
        raise DataError("n_minus and n_plus: two vectors of equal length, at most n together.")
    losses = (minus - plus) / n if n else np.zeros(minus.size)
    return _certify(Counted(minus, plus, n, epsilon, delta), losses, start, second_start)


@dataclass(frozen=True, slots=True)
class Counted:
    """0/1 scores of independent rows: exact up to EXACT_ROWS, betting beyond."""

    minus: Ints
    plus: Ints
    n: int
    epsilon: float
    delta: float
    assumptions: str = INDEPENDENT

    @property
    def n_groups(self) -> int:
        """Return the number of independent units: the rows."""
        return self.n

    @property
    def method(self) -> str:
        """Name the test."""
        return METHODS["exact" if self.n <= EXACT_ROWS else "counts"]

    def p_value(self, index: int) -> float:
        """Return the p-value of "policy `index` loses epsilon or more"."""
        minus, plus = int(self.minus[index]), int(self.plus[index])
        if self.n <= EXACT_ROWS:
            return paired_exact.p_value(minus, plus, self.n, self.epsilon, self.delta * 0.01)
        zero = self.n - minus - plus
        log_e = bounds.difference_log_evalue_counts(minus, zero, plus, self.epsilon)
        return float(bounds.p_from_log_e(log_e))

    def bound(self, index: int) -> float:
        """Return the upper bound on the loss of policy `index` alone, at 1 - delta."""
        minus, plus = int(self.minus[index]), int(self.plus[index])
        if self.n <= EXACT_ROWS:
            return paired_exact.upper_bound_loss(minus, plus, self.n, self.epsilon, self.delta)
        rows = np.repeat([-1.0, 0.0, 1.0], [minus, self.n - minus - plus, plus])
        return bounds.upper_bound_loss(rows, self.delta)


@dataclass(frozen=True, slots=True)
class _Graded:
    """Graded scores of independent rows, in a seeded order."""

    table: Floats
    epsilon: float
    delta: float
    method: str = METHODS["betting"]
    assumptions: str = INDEPENDENT

    @property
    def n(self) -> int:
        return int(self.table.shape[1])

    @property
    def n_groups(self) -> int:
        return self.n

    def p_value(self, index: int) -> float:
        log_e = bounds.difference_log_evalue(self.table[index], self.epsilon, anytime=True)
        return float(bounds.p_from_log_e(log_e))

    def bound(self, index: int) -> float:
        return bounds.upper_bound_loss(self.table[index], self.delta, anytime=True)


@dataclass(frozen=True, slots=True)
class _Grouped:
    """Rows in groups: independent groups, dependent rows inside them."""

    table: Floats
    groups: Ints
    epsilon: float
    delta: float
    method: str = METHODS["groups"]
    assumptions: str = GROUPED

    @property
    def n(self) -> int:
        return int(self.table.shape[1])

    @property
    def n_groups(self) -> int:
        return int(np.unique(self.groups).size)

    def p_value(self, index: int) -> float:
        excess = self.table[index] + self.epsilon
        log_e = bounds.cluster_log_evalue(excess, self.groups, 1.0 - self.epsilon)
        return float(bounds.p_from_log_e(log_e))

    def bound(self, index: int) -> float:
        return bounds.cluster_upper_bound_loss(self.table[index], self.groups, self.delta)


PairedTest = Counted | _Graded | _Grouped


def one_row_per_group(groups: Groups, n: int, seed: int) -> Ints:
    """Return the index of one row of each group, drawn by the seed without looking at scores."""
    codes = group_codes(groups, n)
    order = np.random.default_rng([seed, 2]).permutation(n)
    _, first = np.unique(codes[order], return_index=True)
    return np.sort(order[first])


def paired_test(
    table: Floats,
    epsilon: float,
    delta: float,
    groups: Groups | None,
    scores: Scores,
    seed: int,
    assumptions: str = INDEPENDENT,
) -> PairedTest:
    """Return the test that suits the rows: `p_value(index)` and `bound(index)` of each policy.

    `table` has shape (policies, n), in [-1, 1]; groups, seed and scores as for `certify_path`.
    """
    n = int(table.shape[1])
    codes = None if groups is None else group_codes(groups, n)
    if codes is not None and np.unique(codes).size < n:
        return _Grouped(table, codes, epsilon, delta)
    if scores == "binary":
        minus, plus = (table == -1.0).sum(axis=1), (table == 1.0).sum(axis=1)
        return Counted(minus, plus, n, epsilon, delta, assumptions)
    order = np.random.default_rng(seed).permutation(n)
    return _Graded(table[:, order], epsilon, delta, METHODS["betting"], assumptions)


def _certify(
    tester: PairedTest, losses: Floats, start: int, second_start: int | None
) -> PathCertificate:
    size = losses.size
    probability("epsilon", tester.epsilon)
    probability("delta", tester.delta)
    if size < 2:
        raise DataError(f"A path needs the ceiling and at least one policy, got {size}.")
    starts = starts_of(size, start, second_start, tester.delta)
    steps = fallback_path(size, tester.p_value, starts)
    passed = [index for index, step in enumerate(steps) if step.passed]
    return PathCertificate(
        chosen=passed[-1] if passed else 0,
        policies=tuple(_tested(tester, i, losses[i], step) for i, step in enumerate(steps)),
        epsilon=tester.epsilon,
        delta=tester.delta,
        n=tester.n,
        n_groups=tester.n_groups,
        starts=tuple(sorted(starts.items())),
        method=f"{tester.method}; fixed sequence with fallback (Wiens 2003)",
        assumptions=tester.assumptions,
    )


def starts_of(size: int, start: int, second: int | None, delta: float) -> dict[int, float]:
    """Return the share of delta at each start; the ceiling, index 0, is never a start."""
    if not 0 <= start < size:
        raise DataError(f"start is {start}; it must lie in 0..{size - 1}.")
    first = max(start, 1)
    safer = first // 2 if second is None else second
    if not 0 <= safer <= first:
        raise DataError(f"second_start is {safer}; it must lie in 0..{first}, safer than start.")
    return shares(first, safer or None, delta)


def _tested(tester: PairedTest, index: int, loss: float, step: Step) -> TestedPolicy:
    if index == 0:
        return TestedPolicy(0, 0.0, None, 0.0, True, 0.0)
    bound = None if step.p_value is None else tester.bound(index)
    return TestedPolicy(index, float(loss), step.p_value, step.allowed, step.passed, bound)


def _means(table: Floats) -> Floats:
    return table.mean(axis=1) if table.shape[1] else np.zeros(table.shape[0])
