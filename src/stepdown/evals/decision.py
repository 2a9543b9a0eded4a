"""The decision of an eval: the smallest tier that passes, or how many labels would tell.

Non-inferiority is tested on the rows of this set, all candidates at once (Holm). It is a decision
about whole tiers; it certifies no threshold and spends no certify rows.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct
from msgspec.structs import replace

if TYPE_CHECKING:
    from numpy import float64
    from numpy.typing import NDArray

TOLERANCE = 0.01  # of delta: how far the exact p-value may be rounded up
EXACT_PLAN_ROWS = (
    2000  # a longer plan by the exact test takes seconds; betting bounds it from above
)

Verdict = Literal["ceiling", "passes", "fails", "undecided", "no_data"]
Groups = Sequence[Hashable] | Any | None  # one label or code a row
ONE_GROUP = "all its rows are one group, and one does not tell how much groups differ"
METHOD_NAMES = {
    "exact": "exact paired test (Lloyd and Moldovan 2007)",
    "counts": "betting on pairs (Waudby-Smith and Ramdas 2023)",
    "betting": "betting on pairs (Waudby-Smith and Ramdas 2023)",
    "groups": "betting on group sums (Waudby-Smith and Ramdas 2023)",
}


class Question(Struct, frozen=True, kw_only=True):
    """What is asked of every candidate: a loss below `max_loss`, and `floor` when one is given.

    `delta` is the chance that any candidate passes wrongly; `binary` says that scores are 0 or 1
    by construction; `seed` orders the bets on graded scores.
    """

    max_loss: float
    delta: float
    binary: bool
    seed: int
    floor: float | None = None


class Evidence(Struct, frozen=True, kw_only=True):
    """Paired scores of one candidate and the ceiling on the same rows, with their groups."""

    tier: str
    scores: Sequence[float] | Any  # or an array
    ceiling: Sequence[float] | Any
    groups: Groups = None
    difference_high: float | None = None

    @property
    def differences(self) -> NDArray[float64]:
        """Score of the candidate minus score of the ceiling, row by row."""
        import numpy as np

        gap: NDArray[float64] = np.subtract(self.scores, self.ceiling, dtype=float)
        return gap


class Tested(Struct, frozen=True, kw_only=True):
    """One candidate's verdict. `more_labels` is None when it is decided or cannot be planned.

    `one_group` says that its rows are all of one group, from which nothing can be planned.
    """

    tier: str
    verdict: Verdict
    p_value: float | None
    more_labels: int | None = None
    one_group: bool = False


class Decision(Struct, frozen=True, kw_only=True):
    """The smallest tier that passes; `chosen` is None when this set cannot decide.

    `candidates` is how many tiers were tested at once; `delta` holds for all of them together.
    `cheaper_undecided` names a cheaper tier that more labels may still let pass.
    """

    chosen: str | None
    text: str
    tested: tuple[Tested, ...]
    candidates: int
    delta: float
    max_loss: float
    methods: tuple[str, ...] = ()
    more_labels: int | None = None
    cheaper_undecided: str | None = None


def decide_on(evidence: Sequence[Evidence], ceiling: str, asked: Question) -> Decision:
    """Return the decision on the candidates, given weakest first and without the ceiling."""
    known = [each for each in evidence if len(each.scores)]
    p_values = {each.tier: p_value(each, asked) for each in known}
    passed = holm(p_values, asked.delta)
    tested = tuple(_tested(each, p_values, passed, asked) for each in evidence)
    methods = tuple(sorted({METHOD_NAMES[method_of(each, asked)] for each in known}))
    return replace(_decision(tested, ceiling, asked), methods=methods)


def p_value(each: Evidence, asked: Question) -> float:
    """Return the p-value of "the candidate loses more than is allowed".

    With a floor it is the larger of two (both must hold, so nothing is divided; Berger 1982).
    """
    loss = _p_loss(each, asked)
    return loss if asked.floor is None else max(loss, p_floor(each, asked, asked.floor))


def holm(p_values: Mapping[str, float], delta: float) -> frozenset[str]:
    """Return the names rejected at family-wise error `delta`. Source: Holm (1979)."""
    passed: list[str] = []
    for rank, name in enumerate(sorted(p_values, key=lambda n: p_values[n])):
        if p_values[name] > delta / (len(p_values) - rank):
            break
        passed.append(name)
    return frozenset(passed)


def more_labels(each: Evidence, asked: Question, candidates: int) -> int | None:
    """Return about how many more rows let the test pass with power 0.8, None when no plan helps.

    Assumes the rates seen here, each half a row away from zero, as a pair of 0/1 scores with the
    same mean and variance; rows in groups count for less by their design effect.
    """
    import numpy as np

    from stepdown.stats.power import labels_needed

    gap = each.differences
    effect = design_effect(gap, each.groups)
    if effect is None:
        return None
    n, mean = gap.size, float(gap.mean())
    apart = min(1.0, float(np.mean(gap**2)))
    minus = ((apart - mean) / 2 * n + 0.5) / (n + 1)
    plus = max(0.0, (apart + mean) / 2) * n / (n + 1)
    rates, delta = (minus, plus, asked.max_loss), asked.delta / candidates
    plan = labels_needed(*rates, delta, test="betting")
    if plan.rows is not None and method_of(each, asked) == "exact":
        exact = labels_needed(*rates, delta, cap=min(plan.rows, EXACT_PLAN_ROWS), test="exact")
        plan = plan if exact.rows is None else exact
    if plan.rows is None:
        return None
    rows = math.ceil(plan.rows * effect)
    return _about(rows - n) if rows > n else None


def design_effect(gap: NDArray[float64], groups: Groups) -> float | None:
    """Return how many rows in groups count as one independent row, at least 1.

    None where all rows are one group: how much groups differ cannot be told from one.
    Source: Kish (1965): variance of the mean by groups over the variance of independent rows.
    """
    import numpy as np

    if groups is None:
        return 1.0
    names, codes = np.unique(np.asarray(groups), return_inverse=True)
    spread = float(np.sum((gap - gap.mean()) ** 2))
    if names.size == 1:
        return None
    if spread == 0.0:
        return 1.0
    sums = np.bincount(codes, weights=gap - gap.mean())
    return max(1.0, float(np.sum(sums**2)) / spread)


def method_of(each: Evidence, asked: Question) -> Literal["groups", "exact", "counts", "betting"]:
    """Return which test of `stats.noninferiority.METHODS` suits the scores."""
    from stepdown.stats.noninferiority import EXACT_ROWS

    if each.groups is not None:
        return "groups"
    if not asked.binary:
        return "betting"
    return "exact" if len(each.scores) <= EXACT_ROWS else "counts"


def _p_loss(each: Evidence, asked: Question) -> float:
    import numpy as np

    from stepdown.stats import bounds, paired_exact

    gap, epsilon, method = each.differences, asked.max_loss, method_of(each, asked)
    minus, plus = int(np.sum(gap < 0)), int(np.sum(gap > 0))
    if method == "exact":
        return paired_exact.p_value(minus, plus, gap.size, epsilon, asked.delta * TOLERANCE)
    if method == "groups":
        log_e = bounds.cluster_log_evalue(gap + epsilon, np.asarray(each.groups), 1.0 - epsilon)
    elif method == "counts":
        zero = gap.size - minus - plus
        log_e = float(bounds.difference_log_evalue_counts(minus, zero, plus, epsilon))
    else:
        order = np.random.default_rng(asked.seed).permutation(gap.size)
        log_e = bounds.difference_log_evalue(gap[order], epsilon, anytime=True)
    return float(bounds.p_from_log_e(log_e))


def p_floor(each: Evidence, asked: Question, floor: float) -> float:
    """Return the p-value of "the mean score is at most the floor"."""
    import numpy as np

    from stepdown.stats import bounds

    scores = np.asarray(each.scores, dtype=float)
    if each.groups is not None:
        log_e = bounds.cluster_log_evalue(scores - floor, np.asarray(each.groups), floor)
    elif asked.binary:
        return float(bounds.accuracy_p_value(scores.sum(), scores.size, floor))
    else:
        log_e = bounds.log_evalue(scores, floor)
    return float(bounds.p_from_log_e(log_e))


def _tested(
    each: Evidence, p_values: Mapping[str, float], passed: frozenset[str], asked: Question
) -> Tested:
    if each.tier not in p_values:
        return Tested(tier=each.tier, verdict="no_data", p_value=None)
    p = p_values[each.tier]
    if each.tier in passed:
        return Tested(tier=each.tier, verdict="passes", p_value=p)
    if each.difference_high is not None and each.difference_high < -asked.max_loss:
        return Tested(tier=each.tier, verdict="fails", p_value=p)
    more = more_labels(each, asked, len(p_values))
    alone = design_effect(each.differences, each.groups) is None
    return Tested(tier=each.tier, verdict="undecided", p_value=p, more_labels=more, one_group=alone)


def _decision(tested: tuple[Tested, ...], ceiling: str, asked: Question) -> Decision:
    chosen = next((each.tier for each in tested if each.verdict == "passes"), None)
    before = [each for each in tested if each.verdict == "undecided"]
    if chosen is not None:
        names = [each.tier for each in tested]
        before = [each for each in before if names.index(each.tier) < names.index(chosen)]
    open_ = _nearest(before)
    return Decision(
        chosen=chosen or (ceiling if open_ is None and _complete(tested) else None),
        text=_text(tested, chosen, open_, ceiling),
        tested=tested,
        candidates=sum(each.p_value is not None for each in tested),
        delta=asked.delta,
        max_loss=asked.max_loss,
        more_labels=None if open_ is None else open_.more_labels,
        cheaper_undecided=None if open_ is None else open_.tier,
    )


def _complete(tested: Sequence[Tested]) -> bool:
    return all(each.verdict != "no_data" for each in tested)


def _nearest(undecided: Sequence[Tested]) -> Tested | None:
    """Return the undecided tier that the fewest labels would decide."""
    return min(undecided, key=lambda each: each.more_labels or math.inf, default=None)


def _text(tested: Sequence[Tested], chosen: str | None, open_: Tested | None, ceiling: str) -> str:
    plan = "" if open_ is None else _plan(open_)
    if chosen is not None:
        tail = "" if open_ is None else f" A cheaper tier, {open_.tier}, is not decidable: {plan}."
        return f"{chosen} is the smallest tier that passes.{tail}"
    if open_ is not None:
        return f"Not decidable: {plan}, for {open_.tier}."
    missing = [each.tier for each in tested if each.verdict == "no_data"]
    if missing:
        return f"Not decidable: no scores over the whole set for {', '.join(missing)}."
    return f"No smaller tier passes: the task stays on {ceiling}."


def _plan(open_: Tested) -> str:
    if open_.one_group:
        return f"{ONE_GROUP}; label rows of other groups"
    if open_.more_labels is None:
        return "its loss here is too near the allowed loss to plan, or beyond it"
    return f"label about {open_.more_labels:,} more"


def _about(n: int) -> int:
    """Return n rounded up to two significant digits: a plan is no more exact than that."""
    step = int(10 ** max(0, len(str(n)) - 2))
    return math.ceil(n / step) * step
