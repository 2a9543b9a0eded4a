"""One promise per message: the steps of a pipeline moved down together, and tested together.

Certificates of isolated steps do not add up to one of the message: five steps that each lose two
points may lose ten. So the steps' own paths are joined into one path of combinations, ordered on
tune rows, and every combination is tested on the score of whole messages. It does not know how a
step's inputs are made from the answers of the steps before it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from stepdown.certify.search import Searched
from stepdown.stats.noninferiority import PathCertificate, certify_path

Floats = NDArray[np.float64]
MessageScore = Literal["worst", "mean"]
Combination = tuple[int, ...]  # a place on each step's own path; 0 is its ceiling
LEVELS = 24  # combinations tested at most: each may need the steps that are fed to run again


def combinations(steps: Sequence[Sequence[Searched]], longest: int = LEVELS) -> list[Combination]:
    """Return the joint path: the ceiling everywhere first, the cheapest everywhere last.

    The step moves that can save most for what it loses on the tune rows (the greedy order of the
    knapsack: Dantzig 1957), by one place, so that the test may stop in between. `steps` are the
    steps' own paths, the ceiling first. Where a cost is unknown the share that its ceiling answers
    stands for it, in all steps.
    """
    priced = all(one.cost_usd is not None for path in steps for one in path)
    at = [0] * len(steps)
    found = [tuple(at)]
    while (step := _best(steps, at, priced=priced)) is not None:
        at[step] += 1
        found.append(tuple(at))
    if len(found) <= longest:
        return found
    return [found[i] for i in sorted({round(i) for i in np.linspace(0, len(found) - 1, longest)})]


def _best(steps: Sequence[Sequence[Searched]], at: Sequence[int], *, priced: bool) -> int | None:
    """Return the step that has the best move left, None when none has any."""
    moves = [
        (_ratio(path[at[place]], path[to], priced=priced), -to, place)
        for place, path in enumerate(steps)
        for to in range(at[place] + 1, len(path))
    ]
    return max(moves)[2] if moves else None


def _ratio(now: Searched, then: Searched, *, priced: bool) -> float:
    saved = _cost(now, priced=priced) - _cost(then, priced=priced)
    return saved / max(then.loss - now.loss, 1e-4)


def _cost(one: Searched, *, priced: bool) -> float:
    return one.cost_usd if priced and one.cost_usd is not None else 1 - one.kept


def message_score(scores: Sequence[Floats], how: MessageScore) -> Floats:
    """Return the score of each message, 0..1, from its steps' scores, each of shape (n,).

    `worst`: a message is as good as its worst step; `mean`: the mean of its steps. An unknown
    score counts as 0.
    """
    table = np.nan_to_num(np.array(scores))
    return np.asarray(table.min(axis=0) if how == "worst" else table.mean(axis=0))


Scores = Callable[[Combination], Floats]  # message scores, shape (n,), of one combination


def message_start(
    combos: Sequence[Combination], tune: Scores, max_loss: float, n_certify: int
) -> int:
    """Return the combination to test first: the largest z = (max_loss - loss) / its error."""
    reference = tune(combos[0])
    best, best_z = 0, -np.inf
    for place, combo in enumerate(combos[1:], 1):
        lost = reference - tune(combo)
        # One pseudo-loss against overconfidence in few tune rows.
        spread = np.sqrt((float((lost**2).sum()) + 1) / (lost.size + 1) / n_certify)
        z = (max_loss - float(lost.mean())) / spread
        if z >= best_z - 1e-9:
            best, best_z = place, z
    return best


class MessageTest(Struct, frozen=True, kw_only=True):
    """What came of the test: the combination chosen (0: the ceiling everywhere), and why."""

    combos: tuple[Combination, ...]
    chosen: int
    tested: PathCertificate | None
    difference: Floats
    n: int


def certify_messages(
    combos: Sequence[Combination],
    certify: Scores,
    cost_usd: Callable[[Combination], float],
    *,
    max_loss: float,
    delta: float,
    start: int,
    groups: Sequence[str] | None,
    seed: int,
    binary: bool,
    per: Literal["row", "group"] = "row",
) -> MessageTest:
    """Test the joint path on whole messages and return the cheapest combination that passed.

    `binary`: message scores are 0 or 1 by construction (every step's scorer is, and the worst
    step counts).

    `certify` gives the message scores of a combination on rows that chose nothing; `cost_usd` its
    mean cost there, NaN when unknown (then the furthest on the path wins).
    """
    reference = certify(combos[0])
    if len(combos) < 2:
        return _untested(combos, reference)
    table = np.array([certify(combo) - reference for combo in combos])
    tested = certify_path(
        table,
        max_loss,
        delta,
        start,
        groups,
        scores="binary" if binary else "graded",
        seed=seed,
        per=per,
    )
    chosen = _cheapest(combos, tested, cost_usd)
    return MessageTest(
        combos=tuple(combos),
        chosen=chosen,
        tested=tested,
        difference=table[chosen],
        n=reference.size,
    )


def _untested(combos: Sequence[Combination], reference: Floats) -> MessageTest:
    return MessageTest(
        combos=tuple(combos),
        chosen=0,
        tested=None,
        difference=np.zeros(reference.size),
        n=reference.size,
    )


def _cheapest(
    combos: Sequence[Combination],
    tested: PathCertificate,
    cost_usd: Callable[[Combination], float],
) -> int:
    passed = [0, *(p.index for p in tested.policies if p.passed and p.index)]
    costs = [cost_usd(combos[i]) for i in passed]
    return tested.chosen if np.isnan(costs).any() else passed[int(np.argmin(costs))]


def fed_inputs(
    takes: str, texts: Mapping[str, str], answers: Mapping[str, Mapping[str, str]]
) -> dict[str, str]:
    """Return query id -> input of a step that is fed by others.

    `takes` is the name of one step, whose answer is the whole input, or a template with `{text}`
    (the message) and `{STEP}`. `answers` maps step -> query id -> answer; a query that lacks one
    is left out, because its step would not have been asked.
    """
    template = takes if "{" in takes else f"{{{takes}}}"
    needed = feeders(takes)
    return {
        query: _filled(template, {"text": text, **{s: answers[s][query] for s in needed}})
        for query, text in texts.items()
        if all(query in answers[step] for step in needed)
    }


def feeders(takes: str) -> tuple[str, ...]:
    """Return the steps whose answers a step takes."""
    if "{" not in takes:
        return (takes,)
    return tuple(dict.fromkeys(name for name in _NAME.findall(takes) if name != "text"))


_NAME = re.compile(r"\{([\w.-]+)\}")


def _filled(template: str, values: Mapping[str, str]) -> str:
    """Fill all places in one pass, so that a message which holds `{draft}` stays as it is."""
    return _NAME.sub(lambda found: values[found.group(1)], template)
