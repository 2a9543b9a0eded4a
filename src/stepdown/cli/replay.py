"""`stepdown replay`: what the locked policy would have done on recorded outcomes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stepdown.cli.options import HERE, JsonOption, ProjectOption
from stepdown.cli.session import DONE, NO, open_workspace, session


def replay(
    task: Annotated[str, typer.Argument(help="The locked task.")],
    outcomes: Annotated[
        Path, typer.Option("--outcomes", help="An outcome table: Parquet, CSV or JSONL.")
    ],
    project: ProjectOption = HERE,
    json: JsonOption = False,
) -> None:
    """Replay the lock on other data: score, loss, cost, share by tier, escalations by reason.

    Exit code 1 when the whole 95% interval of the loss lies above the promise.
    """
    with session("replay", json=json) as talk:
        from stepdown.adapters.tables.outcome_files import read_outcomes
        from stepdown.wiring.replaying import document, replay_lock

        workspace = open_workspace(talk, project)
        found = replay_lock(workspace.lock(), task, read_outcomes(outcomes))
        talk.finish(found, document(found), NO if found.broken else DONE)
