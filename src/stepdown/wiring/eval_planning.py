"""`eval plan`: what an eval will need and cost, from kept calls or stated assumptions; no call."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct

from stepdown.adapters.prices.tokens import ESTIMATE_METHOD, estimate_tokens
from stepdown.core.digest import seed_from
from stepdown.core.report import Claim
from stepdown.core.request import Usage
from stepdown.core.task import TEXTS, Task
from stepdown.errors import InputError
from stepdown.evals.asking import ask_of
from stepdown.evals.dataset import Sample
from stepdown.evals.decision import Evidence, Question
from stepdown.evals.plan import POWER, Needed, Rates, assumed_rates, needed, seen_rates, tied
from stepdown.evals.survey import as_text
from stepdown.wiring.evaluating import at_once, ready, samples_in
from stepdown.wiring.kept import Kept, kept_answers
from stepdown.wiring.workspace import Workspace

PILOT_ROWS = 20  # fewer kept pairs say too little; the rates are then assumed
TOKEN_ROWS = 500  # rows whose tokens are counted; more change the mean in its third digit
Z = 1.959963984540054  # the 97.5% point of the normal distribution


class Assumed(Struct, frozen=True, kw_only=True):
    """Rates as the user assumes them; None where nothing was said."""

    score: float | None = None
    ceiling: float | None = None
    discordance: float | None = None

    @property
    def said(self) -> bool:
        """Whether anything was assumed."""
        return any(value is not None for value in (self.score, self.ceiling, self.discordance))


class Spending(Struct, frozen=True, kw_only=True):
    """What asking a tier costs. `calls` are to be made, `kept` need not be.

    `per_call` is in dollars; `now` is for the rows at hand, `to_decide` for the rows needed; what
    is unknown is None. `output_from` says who told how long answers are, `free` that a recording
    is replayed, so that nothing is paid.
    """

    tier: str
    calls: int
    kept: int
    per_call: Claim
    now: Claim
    to_decide: Claim
    seconds: Claim
    output_from: str
    free: bool = False


class Candidate(Struct, frozen=True, kw_only=True):
    """A tier, what is thought of it, and what it takes to decide on it."""

    tier: str
    rates: Rates
    basis: Literal["kept", "assumed"]
    needed: Needed


class EvalPlan(Struct, frozen=True, kw_only=True):
    """A task's plan. `rows` are labelled and at hand in the parts asked for, `all_rows` in all."""

    task: Task
    parts: tuple[str, ...]
    rows: int
    all_rows: int
    groups: int
    question: Question
    candidates: tuple[Candidate, ...]
    spending: tuple[Spending, ...]
    power: float
    token_method: str = ESTIMATE_METHOD


def plan_eval(
    workspace: Workspace,
    task: Task,
    *,
    parts: Sequence[str] = ("tune",),
    assumed: Assumed | None = None,
    tiers: Sequence[str] = (),
    power: float = POWER,
) -> EvalPlan:
    """Return the plan of an eval of one task.

    Raises:
        ConfigError, DataError: as for an eval.
        InputError: rates that contradict each other.
    """
    samples = samples_in(workspace, task, parts)
    able = ready(workspace, task)
    kept = {tier: kept_answers(workspace, task, tier, samples) for tier in able}
    asked = _question(workspace, task)
    names = [tier for tier in tiers or task.tiers[:-1] if tier != task.ceiling]
    candidates = [
        _candidate(task, tier, samples, kept, asked, assumed or Assumed(), len(names), power)
        for tier in names
    ]
    rows = [one.needed.rows for one in candidates if one.needed.rows is not None]
    wanted = max(rows, default=None)
    shown = [tier for tier in (*names, task.ceiling) if tier in able]
    return EvalPlan(
        task=task,
        parts=tuple(parts),
        rows=len(samples),
        all_rows=len(workspace.samples(task)),
        groups=len({sample.group for sample in samples}),
        question=asked,
        candidates=tuple(candidates),
        spending=tuple(_spending(workspace, task, t, samples, kept, wanted) for t in shown),
        power=power,
    )


def _question(workspace: Workspace, task: Task) -> Question:
    from stepdown.evals.scorers.registry import is_binary

    return Question(
        max_loss=task.promise.allowed_loss,
        delta=task.promise.delta,
        binary=is_binary(task),
        seed=seed_from(workspace.divided.data_digest),
        floor=task.promise.floor,
    )


def _candidate(
    task: Task,
    tier: str,
    samples: Sequence[Sample],
    kept: Mapping[str, Mapping[str, Kept]],
    asked: Question,
    assumed: Assumed,
    candidates: int,
    power: float,
) -> Candidate:
    rates = None if assumed.said else _seen(task, tier, samples, kept)
    basis: Literal["kept", "assumed"] = "assumed" if rates is None else "kept"
    thought = rates or tied(rates_from(assumed), [sample.group for sample in samples])
    found = needed(thought, asked, candidates, len(samples), power=power)
    return Candidate(tier=tier, rates=thought, basis=basis, needed=found)


def _seen(
    task: Task, tier: str, samples: Sequence[Sample], kept: Mapping[str, Mapping[str, Kept]]
) -> Rates | None:
    """Return the rates that kept answers show, None where too few samples have both."""
    mine, best = kept.get(tier, {}), kept.get(task.ceiling, {})
    pairs = [
        (mine[s.id].outcome.score, best[s.id].outcome.score, s)
        for s in samples
        if s.id in mine and s.id in best
    ]
    known = [(a, b, s) for a, b, s in pairs if a is not None and b is not None]
    if len(known) < PILOT_ROWS:
        return None
    groups = [s.group or f"row {s.id}" for _, _, s in known]
    return seen_rates(
        Evidence(
            tier=tier,
            scores=[a for a, _, _ in known],
            ceiling=[b for _, b, _ in known],
            groups=groups if len(set(groups)) < len(groups) else None,
        )
    )


def rates_from(assumed: Assumed) -> Rates:
    """Return assumed rates; where nothing is said, two tiers as good as each other.

    They score 0.9 and differ on a tenth of the rows, as `certify plan` assumes.
    """
    ceiling = 0.9 if assumed.ceiling is None else assumed.ceiling
    score = ceiling if assumed.score is None else assumed.score
    gap = abs(ceiling - score)
    most = min(1.0, 2 * min(score, ceiling, 1 - score, 1 - ceiling) + gap)
    usual = min(max(0.1, gap), most)
    return assumed_rates(
        score, ceiling, usual if assumed.discordance is None else assumed.discordance
    )


def _spending(
    workspace: Workspace,
    task: Task,
    tier: str,
    samples: Sequence[Sample],
    every: Mapping[str, Mapping[str, Kept]],
    wanted: int | None,
) -> Spending:
    configured, kept = workspace.tiers[tier], every[tier]
    calls = len(samples) - len(kept)
    per_call, output_from = _per_call(workspace, task, tier, samples, every)
    more = None if wanted is None else max(0, wanted - len(kept))
    return Spending(
        tier=tier,
        calls=calls,
        kept=len(kept),
        per_call=per_call,
        now=_times(per_call, calls),
        to_decide=Claim(None, "usd") if more is None else _times(per_call, more),
        seconds=_seconds(kept, calls, at_once(configured)),
        output_from=output_from,
        free=configured.recorded,
    )


def _per_call(
    workspace: Workspace,
    task: Task,
    tier: str,
    samples: Sequence[Sample],
    kept: Mapping[str, Mapping[str, Kept]],
) -> tuple[Claim, str]:
    """Return the dollars of a call with an interval, and where its output tokens come from."""
    price, model, mine = workspace.tiers[tier].price, workspace.model(task, tier), kept[tier]
    told = [one.outcome.cost_usd for one in mine.values() if one.outcome.cost_usd is not None]
    if len(told) >= PILOT_ROWS:
        return _mean(told, "kept calls"), "kept calls"
    outputs, told_by = _outputs(task, tier, samples[:TOKEN_ROWS], kept)
    costs = []
    for sample, output in zip(samples, outputs, strict=False):
        request = ask_of(task, tier, sample, model.capabilities)
        tokens = sum(estimate_tokens(message.text) for message in request.messages)
        costs.append(price.cost_usd(Usage(tokens, output, estimated=True), _busy_s(mine)))
    known = [cost for cost in costs if cost is not None]
    if not known:
        return Claim(None, "usd", n=0), "unknown"
    return _mean(known, "price x estimated tokens"), told_by


def _outputs(
    task: Task, tier: str, samples: Sequence[Sample], kept: Mapping[str, Mapping[str, Kept]]
) -> tuple[list[int | None], str]:
    """Return the output tokens thought of for each sample, and who told them."""
    told = [
        one.usage.output_tokens
        for answers in kept.values()
        for one in answers.values()
        if one.usage is not None and one.usage.output_tokens is not None
    ]
    if len(told) >= PILOT_ROWS:
        return [round(sum(told) / len(told))] * len(samples), "other"
    if task.kind == "embed":
        return [0] * len(samples), "none"
    if task.kind not in TEXTS or all(isinstance(one.reference, str) for one in samples):
        return [_as_long(task, one) for one in samples], "references"
    prompt = task.prompt_for(tier)
    return [None if prompt is None else prompt.max_tokens] * len(samples), "limit"


def _as_long(task: Task, sample: Sample) -> int:
    """Estimate an answer as long as the reference, in the shape that callers parse."""
    return estimate_tokens(task.contract.render(as_text(sample.reference)))


def _busy_s(kept: Mapping[str, Kept]) -> float | None:
    known = [one.outcome.latency_s for one in kept.values() if one.outcome.latency_s is not None]
    return sum(known) / len(known) if known else None


def _mean(values: Sequence[float], source: str) -> Claim:
    n, mean = len(values), sum(values) / len(values)
    spread = math.sqrt(sum((v - mean) ** 2 for v in values) / (n - 1)) if n > 1 else 0.0
    half = Z * spread / math.sqrt(n)
    return Claim(mean, "usd", max(0.0, mean - half), mean + half, 0.95, n, source)


def _times(per_call: Claim, calls: int) -> Claim:
    if calls == 0 or per_call.value is None:
        return Claim(0.0 if calls == 0 else None, "usd")
    low, high = (None if end is None else end * calls for end in (per_call.low, per_call.high))
    return Claim(per_call.value * calls, "usd", low, high, per_call.level)


def _seconds(kept: Mapping[str, Kept], calls: int, together: int) -> Claim:
    busy_s = _busy_s(kept)
    if calls == 0:
        return Claim(0.0, "s")
    return Claim(None if busy_s is None else busy_s * calls / together, "s")


def check_tiers(task: Task, tiers: Sequence[str]) -> None:
    """Refuse a tier that the task does not have, or its ceiling alone."""
    for tier in tiers:
        if tier not in task.tiers:
            raise InputError(
                f"The task {task.name!r} has no tier {tier!r}.", f"It has: {', '.join(task.tiers)}."
            )
