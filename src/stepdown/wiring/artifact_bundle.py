"""Take an artifact to another project: files, entry, card, suite, licences, with checksums."""

from __future__ import annotations

import shutil
from importlib.resources import files as package_files
from pathlib import Path

import msgspec
from msgspec.structs import replace

from stepdown.adapters.tables.atomic import replacing
from stepdown.adapters.tables.bundles import opened_bundle, write_bundle
from stepdown.core.artifact import Artifact, problem_of
from stepdown.errors import DataError
from stepdown.wiring.artifact_files import check_files
from stepdown.wiring.encoders import STATIC
from stepdown.wiring.workspace import Workspace

ENTRY, CARD, SUITE = "artifact.json", "card.json", "suite.json"
FILES, LICENCES = "files", "licences"
TELLING = ("licen", "notice", "model_card")  # in the names of files that say what one may do


def export_artifact(workspace: Workspace, artifact: Artifact, to: Path) -> tuple[str, ...]:
    """Write a bundle; returns the names of what is in it.

    Raises:
        DataError: a file of the artifact differs, or there is something at `to` already.
    """
    folder = workspace.models.registry.folder
    check_files(folder, artifact)
    found: dict[str, Path | bytes] = {
        f"{FILES}/{name}": folder / name for name in artifact.files or (artifact.file,)
    }
    for name, beside in ((CARD, artifact.card), (SUITE, artifact.suite)):
        if beside is not None and (folder / beside).is_file():
            found[name] = folder / beside
    for licence in _licences(workspace, artifact):
        found[f"{LICENCES}/{licence.name}"] = licence
    found[ENTRY] = msgspec.json.format(msgspec.json.encode(artifact)) + b"\n"
    write_bundle(to, found)
    return tuple(sorted(found))


def _licences(workspace: Workspace, artifact: Artifact) -> list[Path]:
    """Return the licence files of what the artifact was trained on, as far as they are here."""
    tier = workspace.project.tiers.get(artifact.tier)
    if tier is None:
        return []
    if tier.target == STATIC:
        places = [Path(str(package_files("stepdown.adapters.encoders"))) / "data"]
    else:
        places = list((workspace.environment.cache / "weights").glob(f"{tier.target}*"))
    named = [path for place in places for path in sorted(place.rglob("*")) if path.is_file()]
    return [path for path in named if any(word in path.name.lower() for word in TELLING)]


def import_artifact(workspace: Workspace, bundle: Path, by: str) -> Artifact:
    """Register what a bundle holds, as a candidate; its files come first, its entry last.

    Raises:
        DataError: it is no bundle, something differs from its checksum, or it names odd paths.
    """
    registry = workspace.models.registry
    with opened_bundle(bundle) as folder:
        artifact = _entry(folder, bundle)
        for name in artifact.files or (artifact.file,):
            _copied(folder / FILES / name, registry.folder / name)
        for name, path in ((CARD, artifact.card), (SUITE, artifact.suite)):
            if path is not None and (folder / name).is_file():
                _copied(folder / name, registry.folder / path)
    check_files(registry.folder, artifact)
    card, suite = (_there(registry.folder, path) for path in (artifact.card, artifact.suite))
    return registry.take_in(replace(artifact, parent=None, card=card, suite=suite), by)


def _there(folder: Path, path: str | None) -> str | None:
    return path if path is not None and (folder / path).is_file() else None


def _entry(folder: Path, bundle: Path) -> Artifact:
    try:
        artifact = msgspec.json.decode((folder / ENTRY).read_bytes(), type=Artifact)
    except (OSError, msgspec.MsgspecError, RecursionError) as error:
        raise DataError(f"{bundle} holds no artifact: {error}.") from None
    wrong = problem_of(artifact)
    if wrong:
        raise DataError(f"{bundle} holds no sound artifact: {wrong}.")
    return artifact


def _copied(source: Path, target: Path) -> None:
    with replacing(target) as part:
        shutil.copyfile(source, part)
