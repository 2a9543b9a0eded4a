"""`stepdown eval check`, for CI: whether locked tasks still pass and hosted models are the same."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from stepdown.cli.options import HERE, JsonOption, ProjectOption, TasksArgument, check_rows
from stepdown.cli.session import DONE, Session, session
from stepdown.cli.watching import Watching

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepdown.wiring.checking import Check, How
    from stepdown.wiring.workspace import Workspace


def eval_check(
    tasks: TasksArgument = None,
    *,
    rows: Annotated[
        str, typer.Option(help="Which rows: certify, tune, held-out, train, all.")
    ] = "certify",
    strict: Annotated[
        bool, typer.Option("--strict", help="A promise that is merely open falls too.")
    ] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask no networked tier: kept answers only, no key.")
    ] = False,
    max_usd: Annotated[
        float | None, typer.Option(min=0.0, help="Refuse to begin when more may be spent.")
    ] = None,
    junit: Annotated[
        Path | None, typer.Option("--junit", help="Write the verdicts as JUnit XML here.")
    ] = None,
    no_canaries: Annotated[
        bool, typer.Option("--no-canaries", help="Do not ask the canaries.")
    ] = False,
    pin: Annotated[
        bool, typer.Option("--pin", help="Pin canaries (canaries/TIER.jsonl) instead of checking.")
    ] = False,
    tiers: Annotated[str, typer.Option(help="With --pin: these tiers, by commas.")] = "",
    prompts: Annotated[int, typer.Option(min=4, help="With --pin: prompts a tier.")] = 20,
    project: ProjectOption = HERE,
    json: JsonOption = False,
) -> None:
    """Check that every locked task still passes on its rows, and that hosted models did not change.

    Exit code 0 when nothing falls, 1 when a promise is contradicted or a model changed, 2 when
    something must be fixed. Kept answers are not asked again.
    """
    with session("eval check", json=json) as talk:
        from stepdown.wiring.checking import How
        from stepdown.wiring.evaluating import PARTS

        check_rows(rows)
        workspace = _opened(talk, project, offline=offline)
        if pin:
            _pin(talk, workspace, [name for name in tiers.split(",") if name], prompts)
        how = How(
            parts=PARTS[rows],
            strict=strict,
            offline=offline,
            max_usd=max_usd,
            canaries=not no_canaries,
        )
        with Watching(talk.err) as watch:
            found = asyncio.run(_check(workspace, tasks or (), how, watch))
        _finish(talk, workspace, found, how, junit)


def _opened(talk: Session, project: Path, *, offline: bool) -> Workspace:
    if offline:
        from stepdown.wiring.keyless import Keyless

        return Keyless.open(project)
    from stepdown.cli.session import open_workspace

    return open_workspace(talk, project)


async def _check(workspace: Workspace, tasks: Sequence[str], how: How, watch: Watching) -> Check:
    from stepdown.wiring.checking import run_check

    try:
        return await run_check(workspace, tasks, how, watch)
    finally:
        await workspace.aclose()


def _finish(
    talk: Session, workspace: Workspace, found: Check, how: How, junit: Path | None
) -> NoReturn:
    from stepdown.wiring.check_report import as_data, code, document
    from stepdown.wiring.checking import unpinned

    if junit is not None:
        _write(talk, junit, workspace, found)
    for task in found.tasks:
        if task.left_out:
            talk.warn(f"{task.task}: {task.left_out:,} rows without a kept answer were left out.")
    report = document(found, how, () if how.offline else unpinned(workspace))
    talk.finish(as_data(found), report, code(found))


def _write(talk: Session, path: Path, workspace: Workspace, found: Check) -> None:
    from stepdown.adapters.render.junit import junit
    from stepdown.adapters.tables.atomic import replacing

    stamp = workspace.environment.now.strftime("%Y-%m-%dT%H:%M:%S")
    with replacing(path) as temporary:
        temporary.write_bytes(junit("stepdown eval check", found.cases, stamp))
    talk.say(f"Wrote {path}")


def _pin(talk: Session, workspace: Workspace, tiers: Sequence[str], prompts: int) -> NoReturn:
    from stepdown.wiring.canaries import pin, tiers_to_pin

    async def run() -> dict[str, int]:
        try:
            chosen = tiers_to_pin(workspace, tiers)
            return {tier: len(await pin(workspace, tier, prompts=prompts)) for tier in chosen}
        finally:
            await workspace.aclose()

    found = asyncio.run(run())
    for tier, n in found.items():
        talk.print(f"Pinned {n} prompts of {tier} in canaries/. Commit the file.")
    talk.finish({"pinned": found}, None, DONE)
