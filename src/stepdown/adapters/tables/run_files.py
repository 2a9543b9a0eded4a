"""Keep the calls of evals and the runs made of them, in files below one folder.

    TASK/TIER.jsonl             calls, append-only
    TASK/sets/ORDER.jsonl       the samples of runs, by the digest of their order
    TASK/run-DIGEST/head.json   what a run was made of; written last
    TASK/run-DIGEST/TIER.jsonl  its rows, in the order of the samples

Calls that end together are appended by one `write()`, so a kill tears at most the last line and two
processes do not tear each other's. It does not know how answers are scored.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryFile
from typing import BinaryIO, cast
from urllib.parse import quote

import msgspec

from stepdown.adapters.tables.atomic import replacing
from stepdown.errors import DataError
from stepdown.ports.run_store import RunHead, RunRow, SavedCall

PRIVATE = 0o600  # answers may hold customers' words


class RunFiles:
    """A RunStore in a folder, such as `.stepdown/runs`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open: dict[Path, int] = {}
        self._encoder = msgspec.json.Encoder()

    def calls(self, task: str, tier: str) -> Mapping[str, SavedCall]:
        """Return the calls finished by now, by key; lines that a kill tore are passed over."""
        from stepdown.adapters.tables.kept_calls import KeptCalls

        path = self._calls_path(task, tier)
        return KeptCalls(path) if path.exists() else {}

    def append(self, task: str, tier: str, *calls: SavedCall) -> None:
        """Write calls with one `write()`.

        Raises:
            DataError: the file cannot be written, or the disk is full.
        """
        data = self._encoder.encode_lines(list(calls))  # msgspec 0.22 leaks 48 bytes of a tuple
        path = self._calls_path(task, tier)
        try:
            written = os.write(self._descriptor(path), data)
        except OSError as error:
            raise _unwritten(path, error.strerror or str(error)) from error
        if written != len(data):
            self._let_go(path)
            raise _unwritten(path, f"only {written} of {len(data)} bytes fit")

    def keep_samples(self, task: str, samples: Iterable[bytes]) -> str:
        """Write samples under the digest of their bytes, which is returned.

        Raises:
            DataError: they cannot be written.
        """
        digest, unnamed = sha256(), self._samples_path(task, f"new-{token_hex(4)}")
        _write_lines(unnamed, _through(digest.update, samples))
        unnamed.replace(self._samples_path(task, digest.hexdigest()))
        return f"sha256:{digest.hexdigest()}"

    def samples(self, task: str, order: str) -> Iterator[bytes]:
        """Yield kept samples in their order.

        Raises:
            DataError: there are none under that digest.
        """
        path = self._samples_path(task, order)
        if not path.exists():
            raise DataError(f"{path} is not there: the samples of this run were removed.")
        with path.open("rb") as file:
            yield from file

    def save_run(self, head: RunHead, rows: Mapping[str, Iterable[RunRow]]) -> None:
        """Write the rows of a run, then its head; a run without a head is none."""
        folder = self._run_folder(head.task, head.digest)
        for tier, each in rows.items():
            _write_lines(folder / f"{_safe(tier)}.jsonl", map(self._encoder.encode, each))
        with replacing(folder / "head.json") as temporary:
            temporary.write_bytes(msgspec.json.format(self._encoder.encode(head)))
            temporary.chmod(PRIVATE)

    def run(self, task: str, digest: str) -> RunHead | None:
        """Return the head of a run, None when there is none.

        Raises:
            DataError: its file is broken.
        """
        path = self._run_folder(task, digest) / "head.json"
        return _head(path) if path.exists() else None

    def runs(self, task: str) -> Sequence[RunHead]:
        """Return the heads of all runs of a task, the newest first."""
        found = list((self.folder / _safe(task)).glob("run-*/head.json"))
        return [_head(path) for path in sorted(found, key=_written_at, reverse=True)]

    def rows(self, head: RunHead, tier: str) -> Iterator[RunRow]:
        """Yield the rows of one tier of a run, in the order of the samples.

        Raises:
            DataError: the run has no such tier, or its file is broken.
        """
        path = self._run_folder(head.task, head.digest) / f"{_safe(tier)}.jsonl"
        if not path.exists():
            known = ", ".join(part.tier for part in head.parts)
            raise DataError(f"The run {head.digest} has no tier {tier!r}.", f"It has: {known}.")
        decode = msgspec.json.Decoder(RunRow).decode
        with path.open("rb") as file:
            for line, raw in enumerate(file, 1):
                try:
                    yield decode(raw)
                except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                    raise DataError(f"{path}, line {line}: not a row of a run: {error}.") from error

    def scratch(self) -> BinaryIO:
        """Return an empty file in the folder (memory may be what /tmp is); it has no name.

        Raises:
            DataError: the folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            return cast("BinaryIO", TemporaryFile(dir=self.folder))
        except OSError as error:
            raise _unwritten(self.folder, error.strerror or str(error)) from error

    def close(self) -> None:
        """Close the files."""
        for path in tuple(self._open):
            self._let_go(path)

    def _calls_path(self, task: str, tier: str) -> Path:
        return self.folder / _safe(task) / f"{_safe(tier)}.jsonl"

    def _samples_path(self, task: str, order: str) -> Path:
        return self.folder / _safe(task) / "sets" / f"{_hex(order)}.jsonl"

    def _run_folder(self, task: str, digest: str) -> Path:
        return self.folder / _safe(task) / f"run-{_hex(digest)}"

    def _descriptor(self, path: Path) -> int:
        if path not in self._open:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._open[path] = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, PRIVATE)
            _end_last_line(self._open[path])
        return self._open[path]

    def _let_go(self, path: Path) -> None:
        os.close(self._open.pop(path))


def _through(see: Callable[[bytes], None], lines: Iterable[bytes]) -> Iterator[bytes]:
    for line in lines:
        see(line)
        see(b"\n")
        yield line


def _write_lines(path: Path, lines: Iterable[bytes]) -> None:
    with replacing(path) as temporary, temporary.open("wb") as file:
        temporary.chmod(PRIVATE)
        for line in lines:
            file.write(line)
            file.write(b"\n")


def _head(path: Path) -> RunHead:
    try:
        return msgspec.json.decode(path.read_bytes(), type=RunHead)
    except msgspec.MsgspecError as error:
        raise DataError(
            f"{path} is not the head of a run: {error}.", "Remove its folder, and run eval again."
        ) from error


def _written_at(path: Path) -> int:
    return path.stat().st_mtime_ns


def _hex(digest: str) -> str:
    return digest.removeprefix("sha256:")


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
