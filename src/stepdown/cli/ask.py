"""`stepdown ask`: one text through a task's locked policy."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from stepdown.cli.options import HERE, JsonOption, ProjectOption
from stepdown.cli.session import session


def ask(
    task: Annotated[str, typer.Argument(help="The task.")],
    text: Annotated[str, typer.Argument(help="The bare text; - reads standard input.")],
    project: ProjectOption = HERE,
    json: JsonOption = False,
) -> None:
    """Answer one text by the locked policy, and say which tier answered and why.

    The same code as `stepdown serve`, without a server; the trace goes to the ledger.
    """
    with session("ask", json=json) as talk:
        from stepdown.errors import InputError

        said = sys.stdin.read() if text == "-" else text
        if not said.strip():
            raise InputError("The text is empty.", "Give one, or - to read standard input.")
        reply = _run(project, task, said)
        trace = reply.trace
        talk.print(reply.text)
        talk.say(f"answered by {trace.answered_by} ({trace.reason}), guarantee {trace.guarantee}")
        if trace.outside_guarantee:
            talk.warn(f"outside the guarantee: {trace.outside_guarantee}")
        if reply.note:
            talk.say(reply.note)
        talk.say(f"why: stepdown explain {trace.id}")
        talk.finish({"answer": reply.text, "note": reply.note, "trace": trace})


def _run(project: Path, task: str, text: str) -> Any:
    from stepdown.config.project import LOCK
    from stepdown.wiring.runner import Stepdown

    with Stepdown.load(project / LOCK, tasks=[task]) as stepdown:
        return stepdown.run(task, text)
