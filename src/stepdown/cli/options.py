"""Options that several verbs share, with one wording each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ProjectOption = Annotated[
    Path,
    typer.Option("--project", "-p", help="Folder with stepdown.toml.", show_default="here"),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")
]
TasksArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[TASK]...", help="Tasks; all when none is named.")
]
HtmlOption = Annotated[
    Path | None, typer.Option("--html", help="Also write one self-contained HTML page here.")
]
HERE = Path()


def check_rows(rows: str) -> None:
    """Refuse a value of --rows that names no part of the data."""
    from stepdown.errors import InputError
    from stepdown.wiring.evaluating import PARTS

    if rows not in PARTS:
        raise InputError(f"--rows {rows!r} is unknown.", f"Use one of {', '.join(PARTS)}.")
