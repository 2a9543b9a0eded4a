"""`stepdown certify`: the cheapest policy that keeps the promise, and the lock."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stepdown.cli.options import HERE, HtmlOption, JsonOption, ProjectOption, TasksArgument
from stepdown.cli.session import DONE, NO, Session, open_workspace, session
from stepdown.cli.watching import Watching

if TYPE_CHECKING:
    from stepdown.certify.evidence import Certified
    from stepdown.core.replay_array import Panel
    from stepdown.core.report import Document
    from stepdown.wiring.pipelining import CertifiedPipeline
    from stepdown.wiring.standalone import Asked
    from stepdown.wiring.workspace import Workspace

ALONE = "A table by itself"  # help panel of the options that need no project
MaxLoss = typer.Option(help="Score that may be lost against the ceiling.", rich_help_panel=ALONE)
Floor = typer.Option(help="Least mean score, whoever answers.", rich_help_panel=ALONE)
MinScore = typer.Option(
    help="Least mean score of answers not given by the ceiling.", rich_help_panel=ALONE
)
MinAgreement = typer.Option(
    help="Least share of these that equal the ceiling's.", rich_help_panel=ALONE
)
MaxDisagreement = typer.Option(
    help="Largest share of all answers that differ from it.", rich_help_panel=ALONE
)
Delta = typer.Option(help="Chance of a wrong promise; 0.1 by default.", rich_help_panel=ALONE)


def certify(
    tasks: TasksArgument = None,
    *,
    project: ProjectOption = HERE,
    outcomes: Annotated[
        Path | None,
        typer.Option(help="An outcome table (Parquet, CSV, JSONL) instead of running the tiers."),
    ] = None,
    relook: Annotated[
        bool,
        typer.Option(help="Test again on rows already looked at; the lock states the added risk."),
    ] = False,
    html: HtmlOption = None,
    json: JsonOption = False,
    lock: Annotated[
        Path | None,
        typer.Option(
            help="Certify the table by itself and write the lock here.",
            show_default="stepdown.lock",
            rich_help_panel=ALONE,
        ),
    ] = None,
    tiers: Annotated[
        str, typer.Option(help="By commas, weakest first, ceiling last.", rich_help_panel=ALONE)
    ] = "",
    ceiling: Annotated[
        str, typer.Option(help="The tier to measure against.", rich_help_panel=ALONE)
    ] = "",
    max_loss: Annotated[float | None, MaxLoss] = None,
    floor: Annotated[float | None, Floor] = None,
    min_score: Annotated[float | None, MinScore] = None,
    min_agreement: Annotated[float | None, MinAgreement] = None,
    max_disagreement: Annotated[float | None, MaxDisagreement] = None,
    delta: Annotated[float | None, Delta] = None,
    shares: Annotated[
        str,
        typer.Option(help="Shares of the rows that choose, and that test.", rich_help_panel=ALONE),
    ] = "",
) -> None:
    """Find at which confidence a smaller tier may keep the answer, so that the promise holds.

    A pipeline that promises something is named like a task: its steps are certified together.

    Searches policies on the tune rows and tests them on the certify rows, which chose nothing.
    Writes stepdown.lock. When nothing passes it says so, says how many labels would decide, and
    locks the ceiling tier. An outcome table whose queries are not in the project's data, or in a
    folder without stepdown.toml, is certified by itself. Exit code 1: at least one promise could
    not be certified.
    """
    with session("certify", json=json) as talk:
        promise = {
            "max_loss": max_loss,
            "floor": floor,
            "min_score": min_score,
            "min_agreement": min_agreement,
            "max_disagreement": max_disagreement,
            "delta": delta,
        }
        given = {name: value for name, value in promise.items() if value is not None}
        alone = {"lock": lock, "tiers": tiers, "ceiling": ceiling, "shares": shares}
        said = {name: value for name, value in alone.items() if value}
        if outcomes is None:
            _refuse_alone([*said, *given], "need --outcomes FILE")
            return _of_project(talk, open_workspace(talk, project), tasks, None, relook, html)
        table, workspace = _read(outcomes, project, lock)
        if workspace is not None:
            _refuse_alone([*said, *given], "are for a table by itself, and these rows are the data")
            workspace = open_workspace(talk, project)
            return _of_project(talk, workspace, tasks, table, relook, html)
        asked = _asked(outcomes, tasks or [], lock or _beside(project), said, given, relook)
        return _alone(talk, asked, table, html)


def _refuse_alone(given: list[str], why: str) -> None:
    """Refuse options that a project has in its file."""
    from stepdown.errors import ConfigError

    if given:
        named = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise ConfigError(
            f"{named} {why}.",
            "Tiers and promises of a project stand in stepdown.toml; pass --lock FILE to certify "
            "a table by itself.",
        )


def _beside(project: Path) -> Path:
    return (project.parent if project.is_file() else project) / "stepdown.lock"


def _read(outcomes: Path, project: Path, lock: Path | None) -> tuple[Panel, Workspace | None]:
    """Return the table, and the project whose data it is of; with --lock it is nobody's."""
    from stepdown.adapters.tables.outcome_panel import read_panel
    from stepdown.wiring.outcome_tables import of_project

    table = read_panel(outcomes)
    return table, None if lock is not None else of_project(project, outcomes, table)


def _asked(
    outcomes: Path,
    names: list[str],
    lock: Path,
    said: dict[str, Any],
    promise: dict[str, Any],
    relook: bool,
) -> Asked:
    from stepdown.core.task import Promise
    from stepdown.errors import ConfigError, InputError
    from stepdown.wiring.standalone import SHARES, Asked

    if len(names) > 1:
        raise InputError("A table by itself is one task.", "Name one TASK, or none.")
    try:
        promised = Promise(**promise)
    except ValueError as error:
        raise ConfigError(f"{error}.", "See docs/promises.md.") from None
    parts = tuple(float(part) for part in _listed(said.get("shares", ""), number=True))
    if parts and len(parts) != len(SHARES):
        raise ConfigError("--shares wants two numbers.", "For example --shares 0.4,0.6.")
    return Asked(
        path=outcomes,
        lock=lock,
        promise=promised,
        tiers=tuple(_listed(said.get("tiers", ""))),
        ceiling=said.get("ceiling", ""),
        name=names[0] if names else "",
        shares=parts or SHARES,
        relook=relook,
    )


def _listed(text: str, *, number: bool = False) -> list[str]:
    from stepdown.errors import ConfigError

    found = [part.strip() for part in text.split(",") if part.strip()]
    for part in found if number else ():
        if not part.replace(".", "", 1).isdigit():
            raise ConfigError(f"--shares: {part!r} is not a share.", "For example 0.4,0.6.")
    return found


def _alone(talk: Session, asked: Asked, table: Panel, html: Path | None) -> None:
    from stepdown.wiring.certified import About, as_data, report
    from stepdown.wiring.environment import Environment
    from stepdown.wiring.standalone import certify_table

    done = certify_table(asked, table, Environment.current().today)
    one = done.certified
    for said in one.warnings:
        talk.warn(said)
    about = About(name=done.project, rows=done.split, baseline=one.task.ceiling)
    _finish(talk, report(about, [one]), [as_data(one)], asked.lock, html, sure=_sure([one]))


def _of_project(
    talk: Session,
    workspace: Workspace,
    tasks: list[str] | None,
    table: Panel | None,
    relook: bool,
    html: Path | None,
) -> None:
    from stepdown.wiring import certifying
    from stepdown.wiring.certified import as_data, document
    from stepdown.wiring.pinning import pin_certified
    from stepdown.wiring.pipeline_report import pipeline_data
    from stepdown.wiring.reporting import save_certified

    found: list[Certified] = []
    together: list[CertifiedPipeline] = []
    with Watching(talk.err) as watch:
        asyncio.run(_run(workspace, tasks, table, relook, watch, found, together))
    certifying.write(workspace, [*found, *(step for one in together for step in one.steps)])
    names = [one.task.name for one in [*found, *(step for one in together for step in one.steps)]]
    for said in asyncio.run(pin_certified(workspace, names)):
        talk.say(said)
    report = document(workspace, found, together)
    save_certified(workspace.project, report)
    data, lock = [as_data(one) for one in found], workspace.project.lock_path
    pipelines = [pipeline_data(one) for one in together]
    sure = _sure([*found, *together])
    _finish(talk, report, data, lock, html, sure=sure, pipelines=pipelines)


def _sure(found: list[Any]) -> bool:
    return all(one.state != "ceiling" for one in found)


def _finish(
    talk: Session,
    report: Document,
    data: list[Any],
    lock: Path,
    html: Path | None,
    *,
    sure: bool,
    pipelines: Sequence[Any] = (),
) -> None:
    if html is not None:
        from stepdown.adapters.render.html import write_html

        write_html(html, report)
    talk.say(f"Wrote {lock}")
    talk.finish({"tasks": data, "pipelines": list(pipelines)}, report, DONE if sure else NO)


async def _run(
    workspace: Workspace,
    tasks: Any,
    table: Panel | None,
    relook: bool,
    watch: Any,
    found: list[Certified],
    together: list[CertifiedPipeline],
) -> None:
    """Add the tasks certified alone to `found`, and the pipelines to `together`.

    Nothing is returned: asyncio spells the result of a run out (`repr`) when it ends, and panels
    of outcomes take seconds.
    """
    from stepdown.wiring import certifying
    from stepdown.wiring.outcome_tables import divide_table
    from stepdown.wiring.pipelining import certify_pipeline
    from stepdown.wiring.targets import wanted

    try:
        asked = wanted(workspace, tasks or (), from_table=table is not None)
        together += [
            await certify_pipeline(workspace, name, watch, relook=relook)
            for name in asked.pipelines
        ]
        for task in asked.tasks:
            if table is None:
                gathered = await certifying.gather(workspace, task, watch, relook=relook)
            else:
                gathered = divide_table(workspace, task, table)
            found.append(certifying.certify(workspace, task, gathered, relook=relook))
    finally:
        await workspace.aclose()
