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
