"""One command's conversation with its user: where things are printed, and how it ends.

stdout carries the result (a document, or one JSON envelope); stderr carries progress, warnings and
errors. Exit codes: 0 done, 1 the answer is no, 2 the user must fix something, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from stepdown import __version__
from stepdown.core.report import Document
from stepdown.errors import DataError, InputError, ModelError, StepdownError

if TYPE_CHECKING:
    from rich.console import Console

    from stepdown.wiring.workspace import Workspace

DONE, NO, FIX, INTERRUPTED = 0, 1, 2, 130


class Session:
    """What a verb prints with. Under `--json` nothing but the envelope reaches stdout."""

    def __init__(self, command: str, *, json: bool = False) -> None:
        self.command = command
        self.json = json
        self.warnings: list[str] = []

    @property
    def out(self) -> Console:
        """The console on stdout."""
        return _console(sys.stdout)

    @property
    def err(self) -> Console:
        """The console on stderr."""
        return _console(sys.stderr)

    def warn(self, text: str) -> None:
        """Say something that the user should know; kept for the envelope too."""
        self.warnings.append(text)
        self.err.print(
            f"warning: {text}", style="yellow", markup=False, highlight=False, soft_wrap=True
        )

    def say(self, text: str) -> None:
        """Say what is going on, on stderr."""
        self.err.print(text, markup=False, highlight=False, soft_wrap=True)

    def finish(self, data: Any, document: Document | None = None, code: int = DONE) -> NoReturn:
        """Print the result and end the command."""
        if self.json:
            self._envelope(data)
        elif document is not None:
            from stepdown.adapters.render.terminal import print_document

            with self._onto_stdout():
                print_document(document, self.out)
        raise SystemExit(code)

    def print(self, text: str) -> None:
        """Print a line of the result; nothing under `--json`."""
        if self.json:
            return
        with self._onto_stdout():
            self.out.print(text, markup=False, highlight=False, soft_wrap=True)

    def fail(self, error: StepdownError, code: int) -> NoReturn:
        """Say what was wrong and what to do, and end the command."""
        text = f"error: {error.message}" + (f"\n       {error.hint}" if error.hint else "")
        self.err.print(text, style="red", markup=False, highlight=False, soft_wrap=True)
        if self.json:
            self._envelope({"error": {"message": error.message, "hint": error.hint}})
        raise SystemExit(code)

    def _envelope(self, data: Any) -> None:
        from stepdown.adapters.render.envelope import envelope

        with self._onto_stdout():
            sys.stdout.buffer.write(envelope(self.command, __version__, data, self.warnings))

    @contextmanager
    def _onto_stdout(self) -> Iterator[None]:
        """Write to stdout; one that takes no more (a full disk) is a sentence and an exit code."""
        try:
            yield
            sys.stdout.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            self.json = False
            _give_up(sys.stdout)
            why = error.strerror or str(error)
            said = f"The result could not be written to stdout: {why}."
            self.fail(DataError(said, "Make room, then run the same command again."), FIX)


def _give_up(stream: TextIO) -> None:
    """Let what is left in a stream's buffer go nowhere, or Python fails on it at the exit."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _console(stream: Any) -> Console:
    from rich.console import Console

    width = None if stream.isatty() or "COLUMNS" in os.environ else 80
    return Console(file=stream, width=width)


@contextmanager
def session(command: str, *, json: bool = False) -> Iterator[Session]:
    """Open a session; errors become one clear sentence and an exit code, never a traceback."""
    from typer import Abort

    talk = Session(command, json=json)
    try:
        yield talk
    except InputError as error:
        talk.fail(error, FIX)
    except ModelError as error:
        talk.fail(error, NO)
    except StepdownError as error:
        talk.fail(error, FIX)
    except (KeyboardInterrupt, Abort):
        talk.say("Interrupted. What had finished is kept; the same command goes on from there.")
        raise SystemExit(INTERRUPTED) from None
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(DONE) from None
    except Exception as error:
        if os.environ.get("STEPDOWN_DEBUG"):
            raise
        unexpected = StepdownError(
            f"Unexpected {type(error).__name__}: {error}",
            "This is a defect; set STEPDOWN_DEBUG=1 to see where, and please report it.",
        )
        talk.fail(unexpected, FIX)


def open_workspace(talk: Session, project: Path, tiers: Sequence[str] = ()) -> Workspace:
    """Open the project and say which tiers, or which of those named, have no price."""
    from stepdown.wiring.workspace import Workspace

    workspace = Workspace.open(project)
    for name in workspace.unpriced():
        if tiers and name not in tiers:
            continue
        talk.warn(f"tiers.{name} has no price: its cost is unknown and counted as such.")
    return workspace
