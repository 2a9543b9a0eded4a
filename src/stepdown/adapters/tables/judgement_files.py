"""Keep what people said of answers: `labels/TASK.jsonl`, append-only, one judgement a line.

Labels are the dearest data of a project: a line is written and synced before the next question is
asked, and a line that was torn by a kill is refused with its number, never passed over.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

import msgspec

from stepdown.core.judgement import Judgement
from stepdown.errors import DataError


class JudgementFile:
    """The judgements of one task."""

    def __init__(self, folder: Path, task: str) -> None:
        self.path = folder / f"{quote(task, safe='')}.jsonl"

    def read(self) -> tuple[Judgement, ...]:
        """Return every judgement, oldest first.

        Raises:
            DataError: a line is not a judgement; names it.
        """
        if not self.path.exists():
            return ()
        decode = msgspec.json.Decoder(Judgement).decode
        found = []
        with self.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    found.append(decode(line))
                except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                    raise DataError(
                        f"{self.path}, line {number}: not a judgement: {error}.",
                        "Correct or delete the line; the others are kept.",
                    ) from None
        return tuple(found)

    def append(self, judgement: Judgement) -> None:
        """Write one judgement and sync it; an unfinished last line is ended first.

        Raises:
            DataError: the file cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                start = b"" if _ends_a_line(self.path) else b"\n"
                file.write(start + msgspec.json.encode(judgement) + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise DataError(
                f"{self.path} cannot be written: {error.strerror or error}.",
                "Check the disk and the permissions; earlier labels are kept.",
            ) from error


def _ends_a_line(path: Path) -> bool:
    if path.stat().st_size == 0:
        return True
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
