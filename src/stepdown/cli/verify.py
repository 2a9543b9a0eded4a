"""`stepdown verify`: whether the locked tiers still answer as they did when they were pinned."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from stepdown.cli.options import HERE, JsonOption, ProjectOption, TasksArgument
from stepdown.cli.session import DONE, Session, open_workspace, session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepdown.core.suite import Suite
    from stepdown.wiring.verifying import Verdict
    from stepdown.wiring.workspace import Workspace

INPUTS = 20


def verify(
    tasks: TasksArgument = None,
    *,
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask no hosted model: files only, no key.")
    ] = False,
    pin: Annotated[
        bool, typer.Option("--pin", help="Pin locked tiers that have no suite, instead.")
    ] = False,
    repin: Annotated[
        bool, typer.Option("--repin", help="Pin them anew; what differs is then forgotten.")
    ] = False,
    inputs: Annotated[
        int, typer.Option(min=1, max=1000, help="With --pin: inputs of each tier.")
    ] = INPUTS,
    project: ProjectOption = HERE,
    json: JsonOption = False,
) -> None:
    """Check that every locked tier answers its pinned inputs as it did.

    Tiers that are a file: exactly, on the same type of CPU with the same runtime; within a stated
    tolerance elsewhere. Hosted tiers: by their canaries. Names the first input that differs.
    Exit code 0 nothing differs, 1 something does, 2 a file has no suite yet.
    """
    with session("verify", json=json) as talk:
        workspace = _opened(talk, project, offline=offline)
        if pin or repin:
            suites = asyncio.run(_pin(workspace, tasks or (), inputs, again=repin))
            _say_pinned(talk, suites)
        found = asyncio.run(_verify(workspace, tasks or (), offline=offline))
        finish(talk, found)


def _opened(talk: Session, project: Path, *, offline: bool) -> Workspace:
    if offline:
        from stepdown.wiring.keyless import Keyless

        return Keyless.open(project)
    return open_workspace(talk, project)


async def _pin(
    workspace: Workspace, tasks: Sequence[str], inputs: int, *, again: bool
) -> Sequence[Suite]:
    from stepdown.wiring.suites import pin_locked

    try:
        return await pin_locked(workspace, tasks, inputs, again=again)
    finally:
        await workspace.aclose()


async def _verify(
    workspace: Workspace, tasks: Sequence[str], *, offline: bool
) -> Sequence[Verdict]:
    from stepdown.wiring.verifying import verify as run

    try:
        return await run(workspace, tasks, offline=offline)
    finally:
        await workspace.aclose()


def _say_pinned(talk: Session, suites: Sequence[Suite]) -> NoReturn:
    for suite in suites:
        texts = sum(row.request is not None for row in suite.rows)
        kept = f"{texts} with their text" if texts else "by the ids of your rows, without texts"
        talk.print(f"Pinned {len(suite.rows)} inputs of {suite.task} {suite.tier}, {kept}.")
    if not suites:
        talk.print("Nothing to pin: every locked tier that is a file has a suite.")
    found = [
        {"task": one.task, "tier": one.tier, "digest": one.digest, "inputs": len(one.rows)}
        for one in suites
    ]
    talk.finish({"pinned": found}, None, DONE)


def finish(talk: Session, found: Sequence[Verdict], title: str = "Verify") -> NoReturn:
    """Show verdicts and end the command."""
    from stepdown.wiring.verify_report import document
    from stepdown.wiring.verifying import code_of

    talk.finish({"verdicts": found}, document(found, title), code_of(found))
