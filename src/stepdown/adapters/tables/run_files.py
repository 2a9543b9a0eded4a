"""Keep the calls of evals in files: `TASK/TIER.jsonl`, append-only, and `TASK/RUN.json`.

One `write()` per call on a file opened for appending, so a kill tears at most the last line and
two processes do not tear each other's. It does not know how answers are scored.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from stepdown.adapters.tables.atomic import replacing
from stepdown.errors import DataError
from stepdown.ports.run_store import SavedCall

PRIVATE = 0o600  # answers may hold customers' words


class RunFiles:
    """A RunStore in a folder, such as `.stepdown/runs`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open: dict[Path, int] = {}

    def calls(self, task: str, tier: str) -> dict[str, SavedCall]:
        """Return the finished calls by key; lines that were torn by a kill are passed over."""
        path = self._calls_path(task, tier)
        decoder = msgspec.json.Decoder(SavedCall)
        found: dict[str, SavedCall] = {}
        if not path.exists():
            return found
        with path.open("rb") as file:
            for line in file:
                call = _decoded(decoder, line)
                if call is not None:
                    found[call.key] = call
        return found

    def append(self, task: str, tier: str, call: SavedCall) -> None:
        """Write one call with one `write()`.

        Raises:
            DataError: the file cannot be written, or the disk is full.
        """
        line = msgspec.json.encode(call) + b"\n"
        path = self._calls_path(task, tier)
        try:
            written = os.write(self._descriptor(path), line)
        except OSError as error:
            raise _unwritten(path, error.strerror or str(error)) from error
        if written != len(line):
            self._let_go(path)
            raise _unwritten(path, f"only {written} of {len(line)} bytes fit")

    def save_run(self, task: str, run_digest: str, record: Mapping[str, Any]) -> None:
        """Write the record of a run; the same digest overwrites itself with the same record."""
        with replacing(self._run_path(task, run_digest)) as temporary:
            temporary.write_bytes(msgspec.json.encode(record, order="sorted"))
            temporary.chmod(PRIVATE)

    def run(self, task: str, run_digest: str) -> dict[str, Any] | None:
        """Return the record of a run, None when there is none."""
        path = self._run_path(task, run_digest)
        if not path.exists():
            return None
        try:
            return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        except msgspec.MsgspecError as error:
            raise DataError(f"{path} is not a run record: {error}.") from error

    def close(self) -> None:
        """Close the files."""
        for path in tuple(self._open):
            self._let_go(path)

    def _calls_path(self, task: str, tier: str) -> Path:
        return self.folder / _safe(task) / f"{_safe(tier)}.jsonl"

    def _run_path(self, task: str, run_digest: str) -> Path:
        return self.folder / _safe(task) / f"{run_digest.removeprefix('sha256:')}.json"

    def _descriptor(self, path: Path) -> int:
        if path not in self._open:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._open[path] = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, PRIVATE)
            _end_last_line(self._open[path])
        return self._open[path]

    def _let_go(self, path: Path) -> None:
        os.close(self._open.pop(path))


def _decoded(decoder: msgspec.json.Decoder[SavedCall], line: bytes) -> SavedCall | None:
    try:
        return decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _end_last_line(descriptor: int) -> None:
    """End a line that a kill tore, so that the next call gets a line of its own."""
    size = os.lseek(descriptor, 0, os.SEEK_END)
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        os.write(descriptor, b"\n")


def _safe(name: str) -> str:
    """Return a name as one file name, whatever it holds."""
    return quote(name, safe="").replace(".", "%2E")


def _unwritten(path: Path, why: str) -> DataError:
    return DataError(
        f"{path} could not be written: {why}.",
        "What had finished is safe; make room and run the same command again.",
    )
