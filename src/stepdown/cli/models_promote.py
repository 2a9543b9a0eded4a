"""`stepdown models promote` and `rollback`: which artifact the next certificate takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from stepdown.cli.options import HERE, JsonOption, ProjectOption
from stepdown.cli.session import NO, Session, open_workspace, session
from stepdown.cli.signing import ByOption, signed

if TYPE_CHECKING:
    from stepdown.wiring.lifecycle import Promotion

TierArgument = Annotated[str, typer.Argument(metavar="[TIER]", help="Where a task has several.")]


def promote(
    which: Annotated[
        str, typer.Argument(metavar="DIGEST|TASK", help="Its digest, or a task's newest candidate.")
    ],
    tier: TierArgument = "",
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask, also where it is worse or unmeasured.")
    ] = False,
    by: ByOption = None,
    project: ProjectOption = HERE,
    json: JsonOption = False,
) -> None:
    """Let an artifact serve its tier from the next certificate on; what it replaces is its parent.

    Asks first where its score's whole interval lies below that of what serves now, or where nobody
    measured one of them. A running gateway changes nothing: the lock pins what was certified.
    """
    with session("models promote", json=json) as talk:
        from stepdown.wiring import lifecycle

        workspace = open_workspace(talk, project)
        artifact = lifecycle.chosen(workspace, which, tier)
        now = workspace.models.registry.promoted(artifact.task, artifact.tier)
        doubt = lifecycle.worse_than(artifact, now)
        if doubt and not yes and not _sure(doubt):
            talk.say(f"Not promoted: {doubt}. With --yes nothing is asked.")
            talk.finish({"promoted": None, "why": doubt}, code=NO)
        _finish(talk, lifecycle.promote(workspace, artifact, signed(by)))


def rollback(
    task: Annotated[str, typer.Argument(metavar="TASK")],
    tier: TierArgument = "",
    by: ByOption = None,
    project: ProjectOption = HERE,
    json: JsonOption = False,
) -> None:
    """Let the parent serve again: what the promoted artifact of a task's tier replaced."""
    with session("models rollback", json=json) as talk:
        from stepdown.wiring import lifecycle

        workspace = open_workspace(talk, project)
        name = workspace.project.task(task).name
        _finish(talk, lifecycle.roll_back(workspace, name, tier, signed(by)))


def _finish(talk: Session, done: Promotion) -> NoReturn:
    from stepdown.wiring import models_report

    data = {"promoted": done.now, "before": done.before, "notes": done.notes}
    talk.finish(data, models_report.promoted(done))


def _sure(doubt: str) -> bool:
    """Ask; where nobody can answer, the answer is no."""
    try:
        return typer.confirm(f"{doubt}. Promote it all the same?", err=True)
    except typer.Abort:
        return False
