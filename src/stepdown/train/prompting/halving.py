"""Choose among prompts by asking few rows of all and more rows of the better half.

Every prompt of a round is asked the same rows. The score of the winner flatters it: what it is
worth is measured on other rows, by whoever asked for the choice.

Source: Karnin, Koren and Somekh (2013), "Almost optimal exploration in multi-armed bandits",
algorithm 1 (sequential halving).
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence

from msgspec import Struct

from stepdown.ports.trainer import Example
from stepdown.train.prompting.candidates import Candidate

FEWEST = 16
"""Rows of the first round: fewer tell nothing apart."""


class Answered(Struct, frozen=True, kw_only=True):
    """What asking some rows gave: score of each row by id (None: not scored), and the cost."""

    scores: Mapping[str, float | None]
    cost_usd: float | None = None
    stopped: str | None = None


Ask = Callable[[Candidate, Sequence[Example]], Awaitable[Answered]]
Tell = Callable[[int, int], None]


class Round(Struct, frozen=True):
    """How many prompts are asked how many rows."""

    prompts: int
    rows: int


class Standing(Struct, frozen=True, kw_only=True):
    """A prompt with the scores of the rows that it was asked."""

    candidate: Candidate
    scores: Mapping[str, float]

    @property
    def mean(self) -> float:
        """Mean score."""
        return sum(self.scores.values()) / len(self.scores) if self.scores else 0.0


class Chosen(Struct, frozen=True, kw_only=True):
    """The winner, where all stood at the end, and why it ended early (None: it did not)."""

    best: Candidate
    standings: tuple[Standing, ...]
    calls: int
    cost_usd: float | None
    stopped: str | None = None


def rounds(prompts: int, rows: int) -> list[Round]:
    """Return the rounds: half the prompts are left each time, and twice the rows are asked."""
    count = max(1, math.ceil(math.log2(max(prompts, 2))))
    asked = max(min(FEWEST, rows), rows >> (count - 1))
    found = []
    while True:
        found.append(Round(prompts, asked))
        if prompts <= 2 and asked >= rows:
            return found
        prompts, asked = max(2, math.ceil(prompts / 2)), min(rows, 2 * asked)
        if found[-1] == Round(prompts, asked):
            return found


def most_calls(prompts: int, rows: int) -> int:
    """Return how many calls the rounds make at most; rows asked before are not asked again."""
    total, before = 0, 0
    for one in rounds(prompts, rows):
        total += one.prompts * (one.rows - before)
        before = one.rows
    return total


async def choose(
    candidates: Sequence[Candidate],
    rows: Sequence[Example],
    ask: Ask,
    *,
    late: Callable[[], bool] = lambda: False,
    tell: Tell | None = None,
) -> Chosen:
    """Return the best prompt; among those within one standard error of it, the shortest.

    Today's prompt (the first) is in every round. Rows are asked in their order: shuffle them
    before. Source of the rule of one standard error: Breiman et al. (1984), section 3.4.3.
    """
    state = _State(candidates, rows, ask, late, tell)
    left = list(candidates)
    for one in rounds(len(candidates), len(rows)):
        left = state.kept(left, one.prompts)
        await state.ask_all(left, one.rows)
        if state.stopped is not None:
            break
    return state.chosen(left)


class _State:
    """The books of a choice."""

    def __init__(
        self,
        candidates: Sequence[Candidate],
        rows: Sequence[Example],
        ask: Ask,
        late: Callable[[], bool],
        tell: Tell | None,
    ) -> None:
        self.rows, self.ask, self.late, self.tell = rows, ask, late, tell
        self.first = candidates[0]
        self.scores: dict[Candidate, dict[str, float]] = {one: {} for one in candidates}
        self.asked: dict[Candidate, int] = dict.fromkeys(candidates, 0)
        self.planned = most_calls(len(candidates), len(rows))
        self.calls, self.cost_usd = 0, 0.0
        self.unpriced = False
        self.stopped: str | None = None

    def kept(self, left: Sequence[Candidate], n: int) -> list[Candidate]:
        """Return the best `n`, always with today's prompt among them."""
        order = sorted(left, key=lambda one: (-self.standing(one).mean, one.tokens))
        best = order[:n] if any(self.asked.values()) else list(left)
        return best if self.first in best else [*best[: n - 1], self.first]

    async def ask_all(self, left: Sequence[Candidate], rows: int) -> None:
        """Ask each prompt the rows that it was not asked yet."""
        for one in left:
            if self.stopped is None and self.late():
                self.stopped = "the time was up"
            if self.stopped is not None:
                return
            await self._ask(one, self.rows[self.asked[one] : rows])
            self.asked[one] = max(self.asked[one], rows)

    async def _ask(self, one: Candidate, rows: Sequence[Example]) -> None:
        if not rows:
            return
        found = await self.ask(one, rows)
        scores = {row: score for row, score in found.scores.items() if score is not None}
        self.scores[one].update(scores)
        self.calls += len(found.scores)
        self.unpriced |= found.cost_usd is None
        self.cost_usd += found.cost_usd or 0.0
        self.stopped = found.stopped
        if self.tell is not None:
            self.tell(self.calls, self.planned)

    def standing(self, one: Candidate) -> Standing:
        return Standing(candidate=one, scores=self.scores[one])

    def chosen(self, left: Sequence[Candidate]) -> Chosen:
        """Compare those that got as far as the best asked, on the rows that all of them have."""
        far = max(len(self.scores[one]) for one in left)
        final = [one for one in left if len(self.scores[one]) == far and far]
        best = max(final or list(left), key=lambda one: (self.standing(one).mean, -one.tokens))
        near = [one for one in final if self._near(one, best)]
        return Chosen(
            best=min(near or [best], key=lambda one: one.tokens),
            standings=tuple(self.standing(one) for one in self.scores),
            calls=self.calls,
            cost_usd=None if self.unpriced else self.cost_usd,
            stopped=self.stopped,
        )

    def _near(self, one: Candidate, best: Candidate) -> bool:
        """Tell whether the paired difference to the best lies within its standard error."""
        pairs = [
            (self.scores[best][row], score)
            for row, score in self.scores[one].items()
            if row in self.scores[best]
        ]
        gaps = [a - b for a, b in pairs]
        if len(gaps) < 2:
            return one == best
        mean = sum(gaps) / len(gaps)
        spread = sum((gap - mean) ** 2 for gap in gaps) / (len(gaps) - 1)
        return mean <= math.sqrt(spread / len(gaps))
