"""`stepdown rollback`: today's model answers again, now."""

from __future__ import annotations

from typing import Annotated

import typer

from stepdown.cli.options import HERE, JsonOption, ProjectOption, TasksArgument
from stepdown.cli.session import open_workspace, session
from stepdown.cli.signing import ByOption, signed


def rollback(
    tasks: TasksArgument = None,
    lock: Annotated[
        bool,
        typer.Option("--lock", help="Put the lock back that was served before; shares stay."),
    ] = False,
    by: ByOption = None,
    project: ProjectOption = HERE,
    json: JsonOption = False,
) -> None:
    """Go back in one command: today's model answers everything of a task, or of all tasks.

    A running gateway follows within a second; nothing is restarted, and it holds after a restart
    too, until `stepdown serve share` says otherwise. With --lock the lock that was served before
    takes the place of stepdown.lock instead, and the gateway loads it at its next SIGHUP or start.
    """
    with session("rollback", json=json) as talk:
        from stepdown.errors import InputError
        from stepdown.wiring.changing import restore_lock, roll_back

        workspace = open_workspace(talk, project)
        if lock:
            if tasks:
                raise InputError(
                    "--lock goes back for all tasks: a lock is one file.", "Name no task with it."
                )
            _, change = restore_lock(workspace, signed(by))
            talk.print(f"lock: {change.before[:19]} -> {change.after[:19]}")
            talk.say("A running gateway loads it at SIGHUP (`kill -HUP PID`).")
            talk.finish({"changes": [change]})
        changes = roll_back(workspace, tasks or (), signed(by))
        for one in changes:
            talk.print(f"{one.task}: {one.before} -> {one.after}")
        talk.finish({"changes": changes})
