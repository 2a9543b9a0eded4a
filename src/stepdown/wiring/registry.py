"""The registry of trained artifacts: which file serves which task and tier, under which digest.

A sealed JSON file beside the artifacts, version 2, rewritten atomically by one writer at a time.
It does not load a model.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from stepdown.adapters.tables.alone import alone
from stepdown.adapters.tables.atomic import replacing
from stepdown.core.artifact import Artifact, Event
from stepdown.core.digest import digest
from stepdown.core.shelf import VERSION, Shelf, Signed, changed, problems, registered, without
from stepdown.core.shelf import promote as promoted_now
from stepdown.core.shelf import roll_back as rolled_back
from stepdown.errors import DataError, InputError
from stepdown.wiring.artifact_files import check_files, files_of

__all__ = ["FILE", "Artifact", "Registry"]

FILE = "registry.json"
LOCK = ".registry.lock"
SEAL = "seal"  # digest of everything else in the file
LIMIT_BYTES = 64 * 2**20  # a larger file is no registry
LIKE = 4  # digits of a digest that are needed to name it


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


class Registry:
    """Read and write the artifacts of a project; `folder` holds them and the file."""

    def __init__(self, folder: Path, now: Callable[[], str] = _now) -> None:
        self.folder = folder
        self._now = now

    def shelf(self, *, edited: bool = False) -> Shelf:
        """Return all artifacts with their history; `edited` reads one whose seal is broken too.

        Raises:
            DataError: the registry cannot be read, was edited, or says what cannot be.
        """
        path = self.folder / FILE
        if not path.exists():
            return Shelf()
        try:
            if path.stat().st_size > LIMIT_BYTES:
                raise ValueError(f"it is larger than {LIMIT_BYTES:,} bytes")
            plain = msgspec.json.decode(path.read_bytes())
            found = _shelf(plain)
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(
                f"The registry {path.name} cannot be read: {error}.",
                "Restore it, or move it away and train again.",
            ) from None
        self._check(path, plain, found, edited=edited)
        return found

    def all(self) -> tuple[Artifact, ...]:
        """Return every artifact, oldest first. Raises what `shelf` raises."""
        return self.shelf().artifacts

    def history(self) -> tuple[Event, ...]:
        """Return what was done, oldest first. Raises what `shelf` raises."""
        return self.shelf().history

    def promoted(self, task: str, tier: str) -> Artifact | None:
        """Return the artifact that serves a task's tier, None when nothing was trained."""
        return self.shelf().promoted(task, tier)

    def find(self, word: str) -> Artifact:
        """Return the artifact whose digest begins with `word`.

        Raises:
            InputError: there is none, or several.
        """
        digits = word.removeprefix("sha256:")
        found = [a for a in self.all() if a.digest.removeprefix("sha256:").startswith(digits)]
        if len(digits) < LIKE or not found:
            known = ", ".join(f"{a.task} {a.tier} {a.short}" for a in self.all()[-8:])
            raise InputError(
                f"No artifact has a digest that begins with {word!r}.",
                f"Give at least {LIKE} digits of one of: {known or 'none is registered'}.",
            )
        if len(found) > 1:
            several = ", ".join(f"{a.task} {a.tier} {a.short}" for a in found)
            raise InputError(f"{word!r} could be {several}.", "Give more digits.")
        return found[0]

    def add(self, artifact: Artifact, by: str = "stepdown") -> Artifact:
        """Register an artifact; where it is promoted, what it replaces stays, as retired.

        The digests of its files are taken now unless it brings them. Returns it as registered.
        """
        files = artifact.files or files_of(self.folder, artifact.file)
        told = replace(artifact, files=files)
        done = self._change(lambda shelf: registered(shelf, told, self._who(by)))
        return self._same(done, told)

    def take_in(self, artifact: Artifact, by: str) -> Artifact:
        """Register a candidate that was exported elsewhere."""
        told = replace(artifact, state="candidate")
        return self._same(
            self._change(lambda shelf: registered(shelf, told, self._who(by), "import")), told
        )

    def promote(self, artifact: Artifact, by: str) -> Artifact:
        """Let an artifact serve its tier, once its files are what they were.

        Raises:
            DataError: a file is gone or differs; nothing is changed.
        """
        check_files(self.folder, artifact)
        done = self._change(
            lambda shelf: promoted_now(shelf, self._same(shelf, artifact), self._who(by))
        )
        return self._same(done, artifact)

    def roll_back(self, task: str, tier: str, by: str) -> tuple[Artifact, Artifact]:
        """Let the parent serve again; returns what served, and what serves now.

        Raises:
            InputError: there is nothing to go back to.
            DataError: a file of the parent is gone or differs; nothing is changed.
        """
        before = self.promoted(task, tier)

        def back(shelf: Shelf) -> Shelf:
            try:
                done = rolled_back(shelf, task, tier, self._who(by))
            except LookupError as error:
                raise InputError(
                    f"Cannot roll back {task} {tier}: {error}.",
                    "`stepdown models list` shows what is registered; `stepdown models promote "
                    "DIGEST` takes any of it.",
                ) from None
            now = done.promoted(task, tier)
            assert now is not None
            check_files(self.folder, now)
            return done

        now = self._change(back).promoted(task, tier)
        assert before is not None
        assert now is not None
        return before, now

    def update(self, artifact: Artifact) -> None:
        """Write other figures of an artifact that is registered: a score, a suite, a card."""
        self._change(lambda shelf: changed(shelf, artifact))

    def remove(self, artifact: Artifact, by: str) -> None:
        """Forget an artifact; its history stays. Its files are the caller's to remove."""
        self._change(lambda shelf: without(shelf, artifact, self._who(by)))

    def accept_edits(self) -> Shelf:
        """Seal what the file says now, after its files were checked.

        Raises:
            DataError: it says what cannot be, or a file is gone or differs.
        """
        with alone(self.folder / LOCK):
            found = self.shelf(edited=True)
            for artifact in found.artifacts:
                check_files(self.folder, artifact)
            self._write(found)
        return found

    def _who(self, by: str) -> Signed:
        return Signed(by, self._now())

    def _same(self, shelf: Shelf, artifact: Artifact) -> Artifact:
        found = shelf.with_digest(*artifact.key)
        if found is None:
            raise DataError(f"{artifact.task} {artifact.tier} {artifact.short} is not registered.")
        return found

    def _change(self, change: Callable[[Shelf], Shelf]) -> Shelf:
        with alone(self.folder / LOCK):
            done = change(self.shelf())
            wrong = problems(done)
            if wrong:
                raise DataError(f"That cannot be registered: {wrong[0]}.")
            self._write(done)
        return done

    def _write(self, shelf: Shelf) -> None:
        plain = msgspec.to_builtins(replace(shelf, version=VERSION))
        with replacing(self.folder / FILE) as path:
            path.write_bytes(
                msgspec.json.format(msgspec.json.encode({SEAL: digest(plain), **plain}))
            )

    def _check(self, path: Path, plain: Any, found: Shelf, *, edited: bool) -> None:
        wrong = problems(found)
        if wrong:
            raise DataError(
                f"The registry {path.name} says what cannot be: {wrong[0]}.",
                "Restore it from version control.",
            )
        if edited or isinstance(plain, list):
            return
        if plain.get(SEAL) != digest({k: v for k, v in plain.items() if k != SEAL}):
            raise DataError(
                f"The registry {path.name} was changed by hand: its seal does not match.",
                "Restore it from version control; after a merge, `stepdown models verify "
                "--accept-edits` checks every file and seals it anew.",
            )


def _shelf(plain: Any) -> Shelf:
    """Return the shelf of a file: version 2, or the mere list that version 1 was."""
    if isinstance(plain, list):
        return Shelf(artifacts=msgspec.convert([_old(a) for a in plain], tuple[Artifact, ...]))
    if not isinstance(plain, dict) or plain.get("version") != VERSION:
        said = plain.get("version") if isinstance(plain, dict) else type(plain).__name__
        raise ValueError(f"version {said!r}; this program reads 1 and {VERSION}")
    return msgspec.convert({k: v for k, v in plain.items() if k != SEAL}, Shelf)


def _old(plain: Any) -> Any:
    """Return an entry of version 1: the digest of a head is that of its file."""
    if not isinstance(plain, dict) or not str(plain.get("recipe", "")).startswith("head"):
        return plain
    return {**plain, "files": {plain.get("file"): plain.get("digest")}}
