"""`verify`: does every locked tier still answer as it did? Files by suites, hosted by canaries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from stepdown.core.artifact import Artifact
from stepdown.core.lock import LockedTask, LockedTier
from stepdown.core.task import Task
from stepdown.errors import ConfigError, DataError, ModelError, StepdownError, WeightsError
from stepdown.evals.canaries import CanaryVerdict
from stepdown.ports.model import Model
from stepdown.wiring.artifact_files import problems_of
from stepdown.wiring.canaries import ask_canaries
from stepdown.wiring.evaluating import NETWORKED
from stepdown.wiring.recipes import recipe_of
from stepdown.wiring.suites import Played, called, pinnable, play, suite_of
from stepdown.wiring.workspace import Workspace

State = Literal["same", "changed", "unchecked"]
PIN = "nothing is pinned: `stepdown verify --pin`"


class Verdict(Struct, frozen=True, kw_only=True):
    """What is known of one tier of a task, or of one artifact (`digest`).

    `by` says how: a suite, canaries, the digest alone, or files. `why` says in a sentence what
    changed, or why it was not checked.
    """

    task: str
    tier: str
    by: Literal["suite", "canaries", "digest", "files"]
    state: State
    digest: str = ""
    why: str = ""
    played: Played | None = None
    canaries: CanaryVerdict | None = None


async def verify(
    workspace: Workspace, tasks: Sequence[str] = (), *, offline: bool = False
) -> tuple[Verdict, ...]:
    """Check every tier of the locked tasks; hosted tiers once, whichever tasks use them.

    Raises:
        LockError: there is no lock.
        ConfigError: a task that is not there.
    """
    lock = workspace.lock()
    workspace.pin(lock)
    named = [workspace.project.task(name).name for name in tasks]
    found: list[Verdict] = []
    hosted: set[str] = set()
    for name in named or [name for name in lock.tasks if name in workspace.project.tasks]:
        task, locked = workspace.project.task(name), _locked(lock.tasks.get(name), name)
        for tier, was in locked.tiers.items():
            if tier not in workspace.tiers:
                found.append(_gone(name, tier))
            elif workspace.tiers[tier].adapter not in NETWORKED:
                asked = tier in called(locked)
                found.append(await _local(workspace, task, tier, was, asked=asked))
            elif tier not in hosted:
                hosted.add(tier)
                found.append(await _hosted(workspace, task, tier, offline=offline))
    return tuple(found)


def _locked(locked: LockedTask | None, name: str) -> LockedTask:
    if locked is None:
        raise ConfigError(f"The lock holds no task {name!r}.", "Run `stepdown certify` first.")
    return locked


def _gone(task: str, tier: str) -> Verdict:
    why = "the tier is locked and stands in stepdown.toml no more"
    return Verdict(task=task, tier=tier, by="digest", state="changed", why=why)


async def _local(
    workspace: Workspace, task: Task, tier: str, was: LockedTier, *, asked: bool
) -> Verdict:
    """Check a tier that answers from a file: by its digest, and by its suite where it has one.

    A tier that the policy never calls needs none.
    """
    try:
        now = workspace.tier_digest(task, tier)
    except (WeightsError, ConfigError, DataError) as error:
        return Verdict(task=task.name, tier=tier, by="digest", state="changed", why=error.message)
    moved = "" if now == was.digest else f"its digest was {was.digest[:19]}…, is {now[:19]}…"
    if not pinnable(workspace, task, tier):
        state: State = "changed" if moved else "same"
        return Verdict(task=task.name, tier=tier, by="digest", state=state, why=moved, digest=now)
    suite = suite_of(workspace, task.name, tier, was.digest)
    if suite is None and not asked:
        state = "changed" if moved else "same"
        why = moved or "the policy never calls it"
        return Verdict(task=task.name, tier=tier, by="digest", state=state, why=why, digest=now)
    if suite is None:
        state, why = ("changed", moved) if moved else ("unchecked", PIN)
        return Verdict(task=task.name, tier=tier, by="suite", state=state, why=why, digest=now)
    played = await play(workspace, task, suite)
    return _verdict(task.name, tier, was.digest, played, moved)


def _verdict(task: str, tier: str, digest: str, played: Played, moved: str = "") -> Verdict:
    why = [moved] if moved else []
    if not played.same:
        why.append(f"{played.differ} of {played.asked} pinned inputs are answered otherwise")
    elif moved and played.asked:
        why.append(f"all {played.asked} pinned inputs that were asked are answered as before")
    state: State = "changed" if moved or not played.same else "same"
    if state == "same" and not played.asked:
        state, why = "unchecked", ["no pinned input could be asked: the rows are gone or changed"]
    return Verdict(
        task=task, tier=tier, by="suite", state=state, why="; ".join(why), digest=digest,
        played=played,
    )  # fmt: skip


async def _hosted(workspace: Workspace, task: Task, tier: str, *, offline: bool) -> Verdict:
    if offline:
        why = "offline: a hosted model is not asked"
        return Verdict(task=task.name, tier=tier, by="canaries", state="unchecked", why=why)
    try:
        found = await ask_canaries(workspace, tier)
    except (ModelError, DataError, ConfigError) as error:
        why = _joined(error)
        return Verdict(task=task.name, tier=tier, by="canaries", state="unchecked", why=why)
    if found is None:
        why = f"no canaries: `stepdown eval check --pin --tiers {tier}`"
        return Verdict(task=task.name, tier=tier, by="canaries", state="unchecked", why=why)
    why = _canary_words(found) if found.changed else ""
    state: State = "changed" if found.changed else "same"
    return Verdict(task=task.name, tier=tier, by="canaries", state=state, why=why, canaries=found)


def _joined(error: StepdownError) -> str:
    return f"{error.message} {error.hint}".strip()


def _canary_words(found: CanaryVerdict) -> str:
    if found.served:
        return f"the provider names another model now: {', '.join(found.served)}"
    first = f", first {found.differ[0]}" if found.differ else ""
    return f"{len(found.differ)} of {found.prompts} canaries are answered otherwise{first}"


async def verify_artifact(workspace: Workspace, artifact: Artifact) -> Verdict:
    """Check one registered artifact: the digest of each file, then its suite where it has one."""
    wrong = problems_of(workspace.models.registry.folder, artifact)
    if wrong:
        return _files(artifact, "changed", "; ".join(wrong))
    if artifact.task not in workspace.project.tasks or artifact.tier not in workspace.tiers:
        why = "files as registered; its task or tier is gone from stepdown.toml"
        return _files(artifact, "same", why)
    suite = suite_of(workspace, artifact.task, artifact.tier, artifact.locked_as)
    if suite is None:
        why = "files as registered; no suite: `stepdown models verify --pin`"
        return _files(artifact, "same", why)
    task = workspace.project.task(artifact.task)
    try:
        model = opened(workspace, artifact)
    except (ConfigError, WeightsError) as error:
        return _files(artifact, "unchecked", _joined(error))
    try:
        played = await play(workspace, task, suite, model)
    finally:
        await model.aclose()
    return _verdict(artifact.task, artifact.tier, artifact.digest, played)


def _files(artifact: Artifact, state: State, why: str) -> Verdict:
    return Verdict(
        task=artifact.task, tier=artifact.tier, by="files", state=state, why=why,
        digest=artifact.digest,
    )  # fmt: skip


def opened(workspace: Workspace, artifact: Artifact) -> Model:
    """Open an artifact as a model, whatever is promoted.

    Raises:
        ConfigError: its recipe makes no such tier any more.
        WeightsError: a file is missing or differs.
    """
    shop = workspace.models
    task, tier = workspace.project.task(artifact.task), workspace.tiers[artifact.tier]
    path = shop.registry.folder / artifact.file
    return shop.made(task, tier, recipe_of(artifact.recipe), path, artifact.digest)


def code_of(found: Sequence[Verdict]) -> int:
    """Return how `verify` ends: 1 something changed; 2 a file has no suite, or nothing could be
    checked; 0 otherwise.
    """
    if any(one.state == "changed" for one in found):
        return 1
    unpinned = any(one.why == PIN for one in found)
    return 2 if unpinned or not any(one.state == "same" for one in found) else 0
