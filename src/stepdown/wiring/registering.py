"""Take over what a recipe made: its file into models/, one line into the registry.

Both are one rename each, the file first: a process that is killed between them leaves a file that
nothing names, and the next training of the same data writes the same file.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from stepdown.adapters.tables.atomic import replacing
from stepdown.core.artifact import Artifact
from stepdown.core.task import Task
from stepdown.core.tier import Tier
from stepdown.errors import DataError
from stepdown.ports.trainer import Made
from stepdown.train.data_card import DataCard
from stepdown.wiring.proving import Proof
from stepdown.wiring.workspace import Workspace

CARD = ".card.json"
MARK = 12  # digits of a digest in a file name


class CardFile(Struct, frozen=True, kw_only=True):
    """What lies beside an artifact for people, and for the next review.

    `data` tells of the training set, `made` what the recipe says of its result. `traffic` holds the
    ids of the served requests that were learned from: they test nothing any more.
    """

    recipe: str
    data: DataCard
    made: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    traffic: tuple[str, ...] = ()


class Entry(Struct, frozen=True, kw_only=True):
    """What is to be registered: a tier's new artifact, what it is worth, and its card."""

    task: Task
    tier: Tier
    made: Made
    proof: Proof
    card: CardFile


def register(workspace: Workspace, entry: Entry, *, promote: bool) -> Artifact:
    """Put an artifact into the registry, promoted or as a candidate, and return its entry.

    Raises:
        DataError: the folder of models cannot be written.
    """
    registry, task, tier, proof = workspace.models.registry, entry.task, entry.tier, entry.proof
    path = _moved(entry.made, registry.folder, task, tier)
    card = registry.folder / f"{path.stem}{CARD}"
    with replacing(card) as part:
        part.write_bytes(msgspec.json.format(msgspec.json.encode(entry.card)) + b"\n")
    artifact = registry.add(
        Artifact(
            task=task.name,
            tier=tier.name,
            file=path.name,
            digest=entry.made.digest,
            recipe=f"{entry.card.recipe} on {tier.target}",
            data_digest=entry.card.data.digest,
            date=workspace.environment.today.isoformat(),
            score=proof.score.value,
            score_low=proof.score.low,
            score_high=proof.score.high,
            n=proof.score.n or 0,
            latency_p50_s=proof.p50_s.value,
            latency_n=proof.p50_s.n or 0,
            size_bytes=size_of(path),
            card=card.name,
            state="promoted" if promote else "candidate",
        )
    )
    workspace.models.forget(task, tier.name)
    workspace.retune()
    return artifact


def cards_of(workspace: Workspace, task: Task) -> Iterator[CardFile]:
    """Yield the cards of a task's artifacts, as far as they are there and can be read."""
    folder = workspace.models.registry.folder
    for artifact in workspace.models.registry.all():
        if artifact.task == task.name and artifact.card is not None:
            with suppress(OSError, msgspec.MsgspecError):
                yield msgspec.json.decode((folder / artifact.card).read_bytes(), type=CardFile)


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
