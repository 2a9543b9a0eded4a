"""The tiers of a task: which can answer, and what they answer to some samples, kept as it comes.

What an eval makes of the answers stands in `eval_run`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from stepdown.adapters.prices.tokens import estimate_tokens
from stepdown.core.fitness import lacks
from stepdown.core.outcome import Outcome
from stepdown.core.requesting import request_for
from stepdown.core.signals import answer_signals
from stepdown.core.task import Task
from stepdown.core.tier import Tier
from stepdown.errors import ConfigError
from stepdown.evals.dataset import Sample
from stepdown.evals.harness import Progress, RunResult, Terms
from stepdown.evals.harness import run as run_tier
from stepdown.ports.model import Model
from stepdown.wiring.models import HOSTED
from stepdown.wiring.recipes import mute
from stepdown.wiring.workspace import Workspace

Watch = Callable[[Progress], None]
PARTS: Mapping[str, tuple[str, ...]] = {
    "tune": ("tune",),
    "certify": ("certify",),
    "train": ("train",),
    "all": ("train", "tune", "certify"),
    "held-out": ("tune", "certify"),
}
NETWORKED = HOSTED  # adapters that wait for somebody else's machine
AT_ONCE = 8  # calls in flight to a vendor, where nobody says otherwise


def ready(workspace: Workspace, task: Task) -> tuple[str, ...]:
    """Return the task's tiers that can answer: all but experts that were not trained yet."""
    registry = workspace.models.registry
    return tuple(
        name
        for name in task.tiers
        if not mute(workspace.tiers[name]) or registry.promoted(task.name, name)
    )


def unfit(workspace: Workspace, task: Task) -> dict[str, str]:
    """Return the tiers that can take none of the task's inputs, each with the reason."""
    found = {name: _lack(workspace, task, name) for name in ready(workspace, task)}
    return {name: why for name, why in found.items() if why is not None}


def _lack(workspace: Workspace, task: Task, tier: str) -> str | None:
    able, why = workspace.model(task, tier).capabilities, None
    for sample in workspace.walk(task):
        request = request_for(
            task, tier, sample.id, sample.input, context=sample.context, capabilities=able
        )
        why = lacks(request, able, estimate_tokens)
        if why is None:
            return None
    return why


def at_once(tier: Tier, asked: int | None = None) -> int:
    """Return how many calls of a tier may be in flight.

    What runs on this machine takes one at a time: more would only wait, and be measured waiting.
    A server of one's own gets one, unless more are asked for.
    """
    if tier.adapter not in NETWORKED:
        return 1
    return asked or (AT_ONCE if tier.place in ("hosted_open", "vendor") else 1)


def check_tier(task: Task, tier: str) -> None:
    """Refuse a tier that the task does not have."""
    if tier not in task.tiers:
        raise ConfigError(
            f"The task {task.name!r} has no tier {tier!r}.", f"It has: {', '.join(task.tiers)}."
        )


async def run_one(
    workspace: Workspace,
    task: Task,
    tier: str,
    samples: Sequence[Sample],
    watch: Watch | None = None,
    model: Model | None = None,
) -> RunResult:
    """Run one tier on some samples; what an earlier run kept is not asked again.

    `model` answers in its place, as one does that was trained and is not registered yet.

    The signals that stand in the answers themselves are read now, so kept calls have them too.
    """
    check_tier(task, tier)
    configured = workspace.tiers[tier]
    done = await run_tier(
        task,
        samples,
        configured,
        model or workspace.model(task, tier),
        configured.price,
        workspace.runs,
        terms=Terms(concurrency=at_once(configured), progress=watch),
    )
    return msgspec.structs.replace(done, outcomes=tuple(_told(task, o) for o in done.outcomes))


def _told(task: Task, outcome: Outcome) -> Outcome:
    """Return an outcome with what can be read off its answer."""
    if outcome.answer is None:
        return outcome
    found = answer_signals(task, outcome.prompt or "", outcome.answer)
    return msgspec.structs.replace(outcome, signals={**outcome.signals, **found})


def samples_in(workspace: Workspace, task: Task, parts: Sequence[str]) -> tuple[Sample, ...]:
    """Return the task's samples of some parts."""
    if set(parts) == set(PARTS["all"]):
        return workspace.whole(task)
    return tuple(sample for part in parts for sample in workspace.part(task, part))


def recordings(workspace: Workspace, tiers: Iterable[str]) -> dict[str, str]:
    """Return, for each tier that replays a recording, what its answers are."""
    return {
        name: workspace.tiers[name].recording for name in tiers if workspace.tiers[name].recorded
    }


def recorded_notes(workspace: Workspace, tiers: Iterable[str]) -> list[str]:
    """Return the note that stands under every table which shows a recorded tier."""
    end = "replayed; its latency is unknown, its tokens are estimated"
    return [
        f"recorded: {tier}: {what}, {end}; price: {_price_source(workspace, tier)}."
        for tier, what in recordings(workspace, tiers).items()
    ]


def _price_source(workspace: Workspace, tier: str) -> str:
    return workspace.tiers[tier].price.source or "unknown"
