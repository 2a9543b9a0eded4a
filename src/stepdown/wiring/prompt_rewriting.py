"""Ask a larger tier to rewrite a small tier's instruction: one call, within the task's boundary."""

from __future__ import annotations

import re

from stepdown.core.request import Message, Request
from stepdown.core.task import Task
from stepdown.errors import ConfigError, InputError, ModelError
from stepdown.train.prompting.trainer import Rewrite, Rewrites
from stepdown.wiring.workspace import Workspace

WANTED = 3
MOST_CHARACTERS = 2000  # of one instruction
_PART = re.compile(r"^\s*-{3,}\s*$", re.MULTILINE)
_ASKED = """\
Below is the instruction of a small language model, with what its labels or fields mean. Write {n} \
better instructions for the same job: short, plain, complete, each in other words. Part them by \
lines of three hyphens. Write nothing else, and no examples. Never write braces.

{instruction}"""


def rewriter(workspace: Workspace, tier_name: str) -> Rewrite:
    """Return who rewrites instructions.

    Raises:
        ConfigError: there is no such tier, or it cannot be told anything.
    """
    if tier_name not in workspace.tiers:
        raise ConfigError(
            f"--rewrite-by: there is no tier {tier_name!r}.",
            f"It has: {', '.join(workspace.tiers)}.",
        )
    tier = workspace.tiers[tier_name]

    async def rewrite(task: Task, instruction: str) -> Rewrites:
        model = workspace.model(task, tier_name)
        if tier.recorded or not model.capabilities.chat:
            raise ConfigError(
                f"--rewrite-by: the tier {tier_name!r} ({tier.model}) cannot be told anything.",
                "Name a tier with a language model.",
            )
        asked = _ASKED.format(n=WANTED, instruction=instruction)
        message = Message(role="user", content=asked)
        request = Request(
            id="rewrite", task=task.name, input="", messages=(message,), max_tokens=1200
        )
        try:
            said = await model.complete(request, timeout_s=tier.timeout_s)
        except ModelError as error:
            raise InputError(f"--rewrite-by {tier_name}: {error.message}", error.hint) from error
        cost_usd = tier.price.cost_usd(said.usage, said.latency_s)
        return Rewrites(texts=parted(said.text), cost_usd=cost_usd)

    return rewrite


def parted(text: str) -> tuple[str, ...]:
    """Return the instructions in an answer: not empty, not long, without places to fill."""
    parts = [part.strip() for part in _PART.split(text)]
    good = [part for part in parts if part and len(part) <= MOST_CHARACTERS]
    return tuple(dict.fromkeys(part for part in good if "{" not in part))[:WANTED]
