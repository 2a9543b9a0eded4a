"""Pin the canaries of a tier, and ask them again."""

from __future__ import annotations

from collections.abc import Sequence

from stepdown.adapters.tables.canary_files import read_canaries, write_canaries
from stepdown.core.canary import Canary
from stepdown.core.request import Completion, Request
from stepdown.core.requesting import read_answer
from stepdown.core.task import Task
from stepdown.errors import DataError
from stepdown.evals.asking import ask_of
from stepdown.evals.canaries import CanaryVerdict, Rule, judge, key_of
from stepdown.evals.limiting import drawn
from stepdown.wiring.evaluating import NETWORKED, ready
from stepdown.wiring.workspace import Workspace

PURE = ("head", "extractor", "rule", "recorded")  # adapters that answer by a pure function
PROMPTS, ASKED_AT_PIN, ASKED_AGAIN = 20, 3, 1


def tiers_to_pin(workspace: Workspace, tiers: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the tiers to pin: those named, else the networked ones that tasks use.

    Raises:
        DataError: there is none, or a named one that no task uses.
    """
    used = dict.fromkeys(tier for task in workspace.tasks() for tier in ready(workspace, task))
    for tier in tiers:
        if tier not in used:
            raise DataError(f"No task uses the tier {tier!r}.", f"Used: {', '.join(used)}.")
    found = tiers or [tier for tier in used if workspace.tiers[tier].adapter in NETWORKED]
    if not found:
        raise DataError(
            "No tier is asked over a network, so none can change under its name.",
            "Name tiers with --tiers to pin them all the same.",
        )
    return tuple(found)


async def pin(workspace: Workspace, tier: str, *, prompts: int = PROMPTS) -> tuple[Canary, ...]:
    """Ask a tier some prompts of every task that uses it, and keep what it says.

    Raises:
        ModelError: the tier did not answer; nothing is written.
    """
    tasks = [task for task in workspace.tasks() if tier in ready(workspace, task)]
    share = -(-prompts // len(tasks))
    found = [
        one for task in tasks for one in await _pinned(workspace, task, tier, share)
    ][:prompts]  # fmt: skip
    write_canaries(workspace.project.root, tier, found)
    return tuple(found)


async def _pinned(workspace: Workspace, task: Task, tier: str, n: int) -> list[Canary]:
    model = workspace.model(task, tier)
    found = []
    for sample in drawn(workspace.part(task, "tune"), n):
        request = ask_of(task, tier, sample, model.capabilities)
        times = 1 if rule_of(workspace, tier) == "exact" else ASKED_AT_PIN
        found.append(await _asked(workspace, task, tier, request, sample.id, times))
    return found


async def _asked(
    workspace: Workspace, task: Task, tier: str, request: Request, sample: str, times: int
) -> Canary:
    """Ask a prompt, every time anew, without what earlier runs kept."""
    configured, model = workspace.tiers[tier], workspace.model(task, tier)
    done = [await model.complete(request, timeout_s=configured.timeout_s) for _ in range(times)]
    return Canary(
        task=task.name,
        sample=sample,
        tier=tier,
        tier_digest=model.digest,
        request=request,
        answers=tuple(_text(task, tier, one) for one in done),
        served=tuple(sorted({one.model for one in done if one.model})),
        date=workspace.environment.today.isoformat(),
    )


def _text(task: Task, tier: str, done: Completion) -> str:
    """Return the answer as it is read; as it came where it cannot be read."""
    read = read_answer(task, tier, done)
    return done.text if read.text is None else read.text


def rule_of(workspace: Workspace, tier: str) -> Rule:
    """Return the rule that suits a tier."""
    return "exact" if workspace.tiers[tier].adapter in PURE else "statistical"


def pinned(workspace: Workspace, tier: str) -> tuple[Canary, ...]:
    """Return the canaries of a tier that its settings of today can be held against.

    Raises:
        DataError: they were pinned under other settings, or for a task that is gone.
    """
    found = read_canaries(workspace.project.root, tier)
    again = f"Pin them again: stepdown eval check --pin --tiers {tier}."
    for one in found:
        if one.task not in workspace.project.tasks:
            raise DataError(
                f"A canary of {tier!r} is of the task {one.task!r}, which is gone.", again
            )
        now = workspace.model(workspace.project.task(one.task), tier).digest
        if now != one.tier_digest:
            raise DataError(f"The canaries of {tier!r} were pinned under other settings.", again)
    return found


async def ask_canaries(workspace: Workspace, tier: str) -> CanaryVerdict | None:
    """Ask the canaries of a tier again; None when none were pinned.

    Raises:
        DataError: see `pinned`.
        ModelError: the tier did not answer.
    """
    before = pinned(workspace, tier)
    if not before:
        return None
    found = {}
    for one in before:
        task = workspace.project.task(one.task)
        found[key_of(one)] = await _asked(
            workspace, task, tier, one.request, one.sample, ASKED_AGAIN
        )
    return judge(tier, before, found, rule_of(workspace, tier))
