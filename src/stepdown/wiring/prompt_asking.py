"""How the `prompt` recipe asks a tier: through the eval harness, which keeps every call."""

from __future__ import annotations

from collections.abc import Sequence

from stepdown.adapters.prices.tokens import estimate_tokens
from stepdown.core.task import Task
from stepdown.core.tier import Tier
from stepdown.evals.dataset import Sample
from stepdown.evals.harness import Terms
from stepdown.evals.harness import run as run_tier
from stepdown.evals.purse import Purse
from stepdown.ports.encoder import Encoder
from stepdown.ports.trainer import Example
from stepdown.train.prompting.halving import Answered
from stepdown.train.prompting.trainer import PromptTrainer
from stepdown.wiring.encoders import STATIC
from stepdown.wiring.evaluating import at_once
from stepdown.wiring.prompt_rewriting import rewriter
from stepdown.wiring.workspace import Workspace


def prompt_trainer(workspace: Workspace) -> PromptTrainer:
    """Return the trainer of a project; what the user allowed stands in `prompt_terms`."""
    terms = workspace.prompt_terms
    purse = Purse(terms.max_usd)

    async def ask(task: Task, tier: Tier, rows: Sequence[Example]) -> Answered:
        return await _ask(workspace, task, tier, rows, purse)

    def encoder() -> Encoder:
        return workspace.models.encoder(STATIC)

    rewrite = rewriter(workspace, terms.rewrite_by) if terms.rewrite_by else None
    return PromptTrainer(ask, encoder, estimate_tokens, terms, rewrite)


async def _ask(
    workspace: Workspace, task: Task, tier: Tier, rows: Sequence[Example], purse: Purse
) -> Answered:
    samples = [
        Sample(id=row.id, input=row.input, reference=row.answer, group=row.group) for row in rows
    ]
    done = await run_tier(
        task,
        samples,
        tier,
        workspace.model(task, tier.name),
        tier.price,
        workspace.runs,
        terms=Terms(concurrency=at_once(tier), purse=purse, estimate_tokens=estimate_tokens),
    )
    costs = [outcome.cost_usd for outcome in done.outcomes]
    known = [cost for cost in costs if cost is not None]
    return Answered(
        scores={outcome.query_id: outcome.score for outcome in done.outcomes},
        cost_usd=sum(known) if len(known) == len(costs) else None,
        stopped=done.dead,
    )
