"""`train advise`: gather what is known of each task, without asking or paying anybody."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from statistics import median

from msgspec import Struct

from stepdown.adapters.prices.tokens import estimate_tokens
from stepdown.core.digest import seed_from
from stepdown.core.outcome import Outcome
from stepdown.core.report import Claim
from stepdown.core.request import encode_answer
from stepdown.core.task import Task
from stepdown.errors import DataError, StepdownError
from stepdown.evals.dataset import Sample
from stepdown.train.advising import Advice, Figures, advise
from stepdown.wiring.evaluating import ready, run_one
from stepdown.wiring.foretelling import static_encoder
from stepdown.wiring.kept import kept_answers
from stepdown.wiring.proving import difference
from stepdown.wiring.sides import Side, side_of
from stepdown.wiring.workspace import Workspace

WORD = re.compile(r"[^\W\d_]{2,}")
CUT = 3  # pieces from which a word counts as none that the encoder has seen whole
MOST_ROWS = 2_000  # whose words are looked at
MONTH_S = 30.44 * 86_400
PURE = ("head", "rule", "recorded")  # answer at once and without a bill


class Told(Struct, frozen=True, kw_only=True):
    """What the user says: calls a month, and what a training would cost, in dollars."""

    calls_month: float | None = None
    fixed_usd: float | None = None


async def advise_task(workspace: Workspace, task: Task, told: Told) -> Advice:
    """Return the advice for one task; answers that nobody kept are unknown."""
    rows = workspace.part(task, "train")
    tune = workspace.part(task, "tune")
    outcomes = {
        tier: await _answers(workspace, task, tier, tune) for tier in ready(workspace, task)
    }
    seed = seed_from(workspace.whole_split.data_digest)
    sides = {
        tier: side_of(workspace, task, tier, found, seed)
        for tier, found in outcomes.items()
        if found
    }
    best = _best(task, sides)
    ceiling = sides.get(task.ceiling)
    return advise(
        Figures(
            task=task.name,
            kind=task.kind,
            n_train=len(rows),
            fewest_of_label=_fewest(task, rows),
            answer_tokens=_answer_tokens(rows),
            closed=bool(task.labels),
            rare_words=rare_words([row.input for row in rows]),
            familiarity=_familiarity(outcomes),
            floor=_floor(task, ceiling),
            best=best,
            best_score=sides[best].score if best else Claim(None, "score", n=0),
            gap=_gap(task, outcomes, best, seed),
            calls_month=told.calls_month or calls_a_month(workspace, task),
            ceiling_usd=ceiling.cost_usd if ceiling else Claim(None, "usd"),
            best_usd=sides[best].cost_usd if best else Claim(None, "usd"),
            fixed_usd=told.fixed_usd,
            untrained=tuple(t for t in task.tiers if t not in ready(workspace, task)),
            headless=bool(task.labels)
            and not any(workspace.tiers[tier].adapter == "head" for tier in task.tiers),
        )
    )


async def _answers(
    workspace: Workspace, task: Task, tier: str, samples: Sequence[Sample]
) -> Sequence[Outcome]:
    """Return a tier's answers: kept ones, and those of tiers that answer at once for nothing."""
    try:
        if workspace.tiers[tier].adapter in PURE:
            return (await run_one(workspace, task, tier, samples)).outcomes
        return [kept.outcome for kept in kept_answers(workspace, task, tier, samples).values()]
    except StepdownError:  # a tier that cannot be opened here has no figures
        return ()


def _best(task: Task, sides: Mapping[str, Side]) -> str | None:
    """Return the tier below the ceiling with the best score, None where nobody measured one."""
    small = {t: s.score.value for t, s in sides.items() if t != task.ceiling}
    known = {tier: score for tier, score in small.items() if score is not None}
    return max(known, key=lambda tier: known[tier], default=None)


def _floor(task: Task, ceiling: Side | None) -> float | None:
    if task.promise.floor is not None:
        return task.promise.floor
    if ceiling is None or ceiling.score.value is None:
        return None
    return ceiling.score.value - task.promise.allowed_loss


def _gap(
    task: Task, outcomes: Mapping[str, Sequence[Outcome]], best: str | None, seed: int
) -> Claim:
    """Return how much the best small tier falls short: of the floor, or of what may be lost."""
    if best is None:
        return Claim(None, "score", n=0)
    if task.promise.floor is not None:
        known = [one.score for one in outcomes[best] if one.score is not None]
        from stepdown.stats.intervals import proportion_interval

        found = proportion_interval(known, None, 0.95, seed)
        floor, mean = task.promise.floor, sum(known) / len(known)
        low, high = (None if x is None else floor - x for x in (found.high, found.low))
        return Claim(floor - mean, "score", low, high, 0.95, len(known))
    lost = difference(outcomes.get(task.ceiling, ()), outcomes[best], seed)
    if lost.value is None:
        return Claim(None, "score", n=0)
    allowed = task.promise.allowed_loss
    low, high = (None if x is None else x - allowed for x in (lost.low, lost.high))
    return Claim(lost.value - allowed, "score", low, high, lost.level, lost.n)


def _fewest(task: Task, rows: Sequence[Sample]) -> int | None:
    """Return how many rows the rarest label has; None where answers are no labels."""
    if not task.labels:
        return None
    counts = Counter(row.reference for row in rows)
    return min(counts[label] for label in task.labels)


def _answer_tokens(rows: Sequence[Sample]) -> float | None:
    told = [
        estimate_tokens(r.reference if isinstance(r.reference, str) else encode_answer(r.reference))
        for r in rows[:MOST_ROWS]
        if r.reference is not None
    ]
    return sum(told) / len(told) if told else None


def rare_words(texts: Sequence[str]) -> float | None:
    """Return the share of words that the shipped encoder cuts in three or more pieces."""
    words = Counter(w for text in texts[:MOST_ROWS] for w in WORD.findall(text.lower()))
    if not words:
        return None
    kinds = list(words)
    pieces = static_encoder().pieces_of(kinds)  # type: ignore[attr-defined]
    cut = sum(words[kind] for kind, n in zip(kinds, pieces, strict=True) if n >= CUT)
    return cut / sum(words.values())


def _familiarity(outcomes: Mapping[str, Sequence[Outcome]]) -> float | None:
    told = [
        value
        for found in outcomes.values()
        for one in found
        if (value := one.signals.get("familiarity")) is not None
    ]
    return median(told) if told else None


def calls_a_month(workspace: Workspace, task: Task) -> float | None:
    """Return the calls a month by the ledger; None without one, or without a day of traffic."""
    if not workspace.ledger_path.exists():
        return None
    n, first, last = 0, "", ""
    try:
        with workspace.kept_ledger() as ledger:
            for trace in ledger.traces(task.name):
                n, first, last = n + 1, first or trace.at, trace.at
    except DataError:
        return None
    if n < 2:
        return None
    seconds = (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()
    return n * MONTH_S / seconds if seconds >= 86_400 else None
