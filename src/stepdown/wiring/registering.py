"""Take over what a recipe made: its file into models/, one line into the registry.

Both are one rename each, the file first: a process that is killed between them leaves a file that
nothing names, and the next training of the same data writes the same file.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from stepdown.core.task import Task
from stepdown.core.tier import Tier
from stepdown.errors import DataError
from stepdown.ports.trainer import Made
from stepdown.wiring.proving import Proof
from stepdown.wiring.registry import Artifact
from stepdown.wiring.workspace import Workspace

MARK = 12  # digits of a digest in a file name


def register(
    workspace: Workspace,
    task: Task,
    tier: Tier,
    made: Made,
    proof: Proof,
    recipe: str,
    data_digest: str,
    *,
    promote: bool,
) -> Artifact:
    """Put an artifact into the registry, promoted or as a candidate, and return its entry.

    Raises:
        DataError: the folder of models cannot be written.
    """
    registry = workspace.models.registry
    path = _moved(made, registry.folder, task, tier)
    artifact = Artifact(
        task=task.name,
        tier=tier.name,
        file=path.name,
        digest=made.digest,
        recipe=f"{recipe} on {tier.target}",
        data_digest=data_digest,
        date=workspace.environment.today.isoformat(),
        score=proof.score.value,
        score_low=proof.score.low,
        score_high=proof.score.high,
        n=proof.score.n or 0,
        size_bytes=size_of(path),
        state="promoted" if promote else "candidate",
        latency_p50_s=proof.p50_s.value,
        latency_n=proof.p50_s.n or 0,
    )
    registered = registry.add(artifact)
    workspace.models.forget(task, tier.name)
    return registered


def _moved(made: Made, folder: Path, task: Task, tier: Tier) -> Path:
    mark = made.digest.removeprefix("sha256:")[:MARK]
    target = folder / f"{task.name}-{tier.name}-{mark}{made.path.suffix}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if target.is_dir():  # the same digest: the same content, or a copy that was damaged
            shutil.rmtree(target)
        os.replace(made.path, target)  # noqa: PTH105 - the call that POSIX makes atomic
    except OSError as error:
        raise DataError(
            f"{target} cannot be written: {error.strerror or error}.",
            "Make room or correct the permissions; the same command goes on from there.",
        ) from error
    return target


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(one.stat().st_size for one in path.rglob("*") if one.is_file())
