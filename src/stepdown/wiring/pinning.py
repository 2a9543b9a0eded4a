"""Pin suites when they mean most: when an artifact is registered, and when a tier is locked."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from stepdown.core.artifact import Artifact
from stepdown.core.suite import Suite
from stepdown.errors import ConfigError, DataError, WeightsError
from stepdown.wiring.artifact_files import problems_of
from stepdown.wiring.suites import INPUTS, pin, pin_locked, pinnable, suite_of
from stepdown.wiring.verifying import opened
from stepdown.wiring.workspace import Workspace

PROMPT = "prompt on "


async def pin_artifact(workspace: Workspace, artifact: Artifact, n: int = INPUTS) -> Suite | None:
    """Pin what an artifact answers to some train rows; None where it has a suite or needs none."""
    registry = workspace.models.registry
    if artifact.task not in workspace.project.tasks or artifact.tier not in workspace.tiers:
        return None
    task = workspace.project.task(artifact.task)
    if artifact.recipe.startswith(PROMPT):
        return None  # its model is another's: what it answers is pinned when it is certified
    if problems_of(registry.folder, artifact) or not pinnable(workspace, task, artifact.tier):
        return None  # a damaged file must not become the measure
    try:
        model = opened(workspace, artifact)
    except (ConfigError, WeightsError):
        return None
    try:
        if model.digest not in (artifact.digest, artifact.answers_as):
            registry.update(replace(artifact, answers_as=model.digest))
        if suite_of(workspace, artifact.task, artifact.tier, model.digest) is not None:
            return None
        return await pin(workspace, task, artifact.tier, model, n)
    finally:
        await model.aclose()


async def pin_certified(workspace: Workspace, tasks: Sequence[str]) -> tuple[str, ...]:
    """Pin the tiers of tasks that were just locked; return what to tell, a sentence for each."""
    try:
        suites = await pin_locked(workspace, tasks)
    except DataError as error:
        return (f"No regression suite was pinned: {error.message}",)
    finally:
        await workspace.aclose()
    return tuple(f"Pinned {len(one.rows)} inputs of {one.task} {one.tier}" for one in suites)
