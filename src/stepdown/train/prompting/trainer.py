"""The Trainer of the `prompt` recipe: no weights, a better prompt for a tier that reads prompts.

It asks the tier through whoever built it, which keeps every call: the same command goes on where an
interrupted one stopped, without paying twice.
"""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from msgspec import Struct

from stepdown.core.digest import digest, seed_from
from stepdown.core.request import Usage
from stepdown.core.task import Task
from stepdown.core.tier import Tier
from stepdown.core.tuned_prompt import READERS, PromptTerms, TunedPrompt, with_prompt
from stepdown.errors import DataError, InputError
from stepdown.ports.encoder import Encoder
from stepdown.ports.trainer import Example, Made, TrainingJob
from stepdown.train.prompting.artifact import save_prompt
from stepdown.train.prompting.candidates import Candidate, candidates
from stepdown.train.prompting.describing import describe
from stepdown.train.prompting.halving import Answered, Chosen, choose, most_calls
from stepdown.train.prompting.templates import shape_of, today

FEWEST = 24
MOST_VALIDATION = 160
_SHARE = 0.3  # of the rows, where nobody set a part aside for choices

AskTier = Callable[[Task, Tier, Sequence[Example]], Awaitable[Answered]]


class Rewrites(Struct, frozen=True, kw_only=True):
    """Instructions that a larger model wrote, and what that cost (None: unknown)."""

    texts: tuple[str, ...]
    cost_usd: float | None = None


Rewrite = Callable[[Task, str], Awaitable[Rewrites]]


class PromptTrainer:
    """Choose among prompts by asking validation rows.

    `ask` answers rows with a task's tier and scores them; `encoder` gives the vectors by which
    examples are spread; `count` estimates tokens; `rewrite` asks a larger model for instructions.
    """

    name = "prompt"

    def __init__(
        self,
        ask: AskTier,
        encoder: Callable[[], Encoder],
        count: Callable[[str], int],
        terms: PromptTerms | None = None,
        rewrite: Rewrite | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask, self._encoder, self._count = ask, encoder, count
        self._terms, self._rewrite, self._clock = terms or PromptTerms(), rewrite, clock

    def refusal(self, task: Task, tier: Tier) -> str | None:
        """Say why this recipe cannot make that tier of the task; None when it can."""
        if tier.adapter not in READERS:
            return f"{tier.model!r} reads no prompt"
        if shape_of(task) is None:
            return f"prompts of a {task.kind} task are not tuned"
        return None

    async def fit(self, job: TrainingJob) -> Made:
        """Choose a prompt.

        Raises:
            DataError: too few examples, or no call was answered.
            InputError: the calls cost money and nobody said how much.
        """
        until = None if job.seconds is None else self._clock() + job.seconds
        train, validation = _parts(job)
        rewrites = await self._rewritten(job)
        made = candidates(
            job.task, job.tier.name, train, self._encoder(),
            count=self._count, most_tokens=self._terms.most_tokens, rewritten=rewrites.texts,
        )  # fmt: skip
        plan = _plan(job, made.candidates, validation, self._count)
        self._check(job.tier, plan)
        chosen = await choose(
            made.candidates,
            validation,
            self._asking(job),
            late=lambda: until is not None and self._clock() > until,
            tell=_told(job, plan),
        )
        return _made(job, chosen, plan, made.too_long, len(validation), rewrites)

    async def _rewritten(self, job: TrainingJob) -> Rewrites:
        if self._rewrite is None:
            return Rewrites(texts=(), cost_usd=0.0)
        said = describe(job.task, job.tier.name, job.data.train)
        now = today(job.task, job.tier.name).system or said.first
        return await self._rewrite(job.task, f"{now}\n\n{said.listed}")

    def _check(self, tier: Tier, plan: Plan) -> None:
        """Refuse to spend money that nobody allowed."""
        if self._terms.max_usd is not None or not plan.paid:
            return
        about = "an unknown amount" if plan.usd is None else f"about ${plan.usd:.2f}"
        raise InputError(
            f"Tuning the prompt of {tier.name!r} takes up to {plan.calls:,} calls, which cost "
            f"{about}.",
            "Say what it may cost: --usd AMOUNT.",
        )

    def _asking(self, job: TrainingJob) -> Callable[[Candidate, Sequence[Example]], Any]:
        async def ask(one: Candidate, rows: Sequence[Example]) -> Answered:
            return await self._ask(with_prompt(job.task, job.tier.name, one.prompt), job.tier, rows)

        return ask


class Plan(Struct, frozen=True, kw_only=True):
    """What a choice takes at most. `paid`: each call costs money, not only time."""

    prompts: int
    calls: int
    usd: float | None
    paid: bool


def _plan(
    job: TrainingJob,
    found: Sequence[Candidate],
    rows: Sequence[Example],
    count: Callable[[str], int],
) -> Plan:
    calls, price = most_calls(len(found), len(rows)), job.tier.price
    text = sum(count(row.input) for row in rows) / len(rows)
    around = sum(one.tokens for one in found) / len(found)
    answer = max(one.prompt.max_tokens or 16 for one in found)
    usage = Usage(input_tokens=int(text + around), output_tokens=answer)
    paid = job.tier.place != "embedded" and price.usd_per_hour is None
    each = price.cost_usd(usage, None) if paid else None
    return Plan(
        prompts=len(found), calls=calls, usd=None if each is None else calls * each, paid=paid
    )


def _told(job: TrainingJob, plan: Plan) -> Callable[[int, int], None] | None:
    step = job.step
    if step is None:
        return None
    money = "" if plan.usd is None else f", ${plan.usd:.2f}"
    stage = f"{plan.prompts} prompts, at most {plan.calls:,} calls{money}"
    step(stage, 0, plan.calls)
    return lambda done, of: step(stage, done, of)


def _parts(job: TrainingJob) -> tuple[list[Example], list[Example]]:
    """Return rows to take examples from, and rows to choose by, in an order drawn by the data.

    Raises:
        DataError: there are too few.
    """
    train, validation = list(job.data.train), list(job.data.validation)
    if len(train) + len(validation) < FEWEST:
        raise DataError(
            f"{len(train) + len(validation)} examples of {job.task.name!r} are too few to choose "
            f"a prompt by.",
            f"Give {FEWEST} at the least.",
        )
    draw = random.Random(seed_from(digest(["prompt", job.data.digest])))  # noqa: S311 - no secret
    if not validation:
        groups = sorted({row.group for row in train})
        draw.shuffle(groups)
        held = set(groups[: max(1, round(_SHARE * len(groups)))])
        validation = [row for row in train if row.group in held]
        train = [row for row in train if row.group not in held]
    validation.sort(key=lambda row: row.id)
    draw.shuffle(validation)
    return train, validation[:MOST_VALIDATION]


def _made(
    job: TrainingJob, chosen: Chosen, plan: Plan, too_long: int, rows: int, rewrites: Rewrites
) -> Made:
    if not chosen.calls or all(not one.scores for one in chosen.standings):
        why = chosen.stopped or "no answer was scored"
        raise DataError(
            f"No prompt of {job.tier.name!r} could be tried: {why}.",
            "Give it more time or money, or see that the tier answers: `stepdown eval`.",
        )
    task, tier = job.task, job.tier
    card = _card(chosen, plan, too_long, rows, rewrites)
    tuned = TunedPrompt(
        task=task.name,
        tier=tier.name,
        model=tier.model,
        prompt=chosen.best.prompt,
        before=task.prompt_for(tier.name),
        card={**card, "data": job.data.digest},
    )
    path, mark = save_prompt(tuned, job.folder)
    return Made(path=path, digest=mark, card=card, notes=_notes(chosen, rows))


def _card(
    chosen: Chosen, plan: Plan, too_long: int, rows: int, rewrites: Rewrites
) -> dict[str, Any]:
    return {
        "chosen": chosen.best.name,
        "examples": chosen.best.examples,
        "tokens_around_the_input": chosen.best.tokens,
        "validation_rows": rows,
        "prompts": plan.prompts,
        "left_out_too_long": too_long,
        "rewritten": len(rewrites.texts),
        "rewriting_cost_usd": rewrites.cost_usd,
        "calls": chosen.calls,
        "calls_cost_usd": chosen.cost_usd,
        "stopped": chosen.stopped,
        "tried": [
            {
                "name": one.candidate.name,
                "tokens": one.candidate.tokens,
                "rows": len(one.scores),
                "mean": one.mean if one.scores else None,
            }
            for one in chosen.standings
        ],
    }


def _notes(chosen: Chosen, rows: int) -> tuple[str, ...]:
    stands = {one.candidate: one for one in chosen.standings}
    now, best = chosen.standings[0], stands[chosen.best]
    measured = (
        f"{chosen.best.name}: {best.mean:.3f} on {len(best.scores)} of {rows} validation rows, "
        f"today's {now.mean:.3f} on {len(now.scores)}; the choice flatters the first, so only the "
        f"tune rows say what it is worth."
    )
    said = [measured, f"{len(chosen.standings)} prompts, {chosen.calls:,} calls."]
    if chosen.best == now.candidate:
        said.append("No prompt was better than today's by more than the noise.")
    if chosen.stopped is not None:
        said.append(f"It ended early: {chosen.stopped}.")
    return tuple(said)
