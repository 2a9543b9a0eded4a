"""`stepdown eval import`: an eval set out of logs or tables, and what was left out of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from stepdown.cli.options import HERE, JsonOption, ProjectOption
from stepdown.cli.session import Session, session
from stepdown.errors import InputError

TABLE, ROWS = "Columns of a table", "Which rows"


def _column(text: str) -> Any:
    return typer.Option(metavar="COLUMN", help=text, rich_help_panel=TABLE)


def eval_import(  # noqa: PLR0917 - options of a command line
    sources: Annotated[list[str], typer.Argument(metavar="SOURCE...", help="Files or globs.")],
    task: Annotated[
        str | None, typer.Option(help="Task of stepdown.toml; needed to read a log.")
    ] = None,
    to: Annotated[
        Path | None, typer.Option(help="The set to write.", show_default="evals/TASK.jsonl")
    ] = None,
    as_: Annotated[str, typer.Option("--as", help="auto, log or table.")] = "auto",
    step: Annotated[
        str | None, typer.Option(help="The step of the log.", show_default="TASK")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Only answers of this model of the log; * is any text.")
    ] = None,
    input_: Annotated[
        str | None,
        typer.Option("--input", metavar="COLUMN", help="The bare text.", rich_help_panel=TABLE),
    ] = None,
    reference: Annotated[str | None, _column("The right answer.")] = None,
    id_: Annotated[
        str | None,
        typer.Option("--id", metavar="COLUMN", help="Names a row.", rich_help_panel=TABLE),
    ] = None,
    group: Annotated[str | None, _column("Ties rows that are not independent.")] = None,
    segment: Annotated[str | None, _column("Kind of message, known before any call.")] = None,
    history: Annotated[str | None, _column("Messages before it.")] = None,
    tools: Annotated[str | None, _column("Functions that the row may call.")] = None,
    images: Annotated[str | None, _column("Images beside the text, as data URLs.")] = None,
    keep: Annotated[
        str,
        typer.Option(metavar="COLUMNS", help="Copy these too, by commas.", rich_help_panel=TABLE),
    ] = "",
    encoding: Annotated[
        str, typer.Option(help="Of CSV and JSON lines.", rich_help_panel=TABLE)
    ] = "utf-8",
    sample: Annotated[
        int | None, typer.Option(min=1, help="Draw so many rows.", rich_help_panel=ROWS)
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            help="Draw in proportion by label, segment or none.",
            show_default="label, if there is one",
            rich_help_panel=ROWS,
        ),
    ] = None,
    duplicates: Annotated[
        str,
        typer.Option(
            help="drop equal and near ones, only exact ones, or keep all.", rich_help_panel=ROWS
        ),
    ] = "drop",
    against: Annotated[
        list[Path] | None,
        typer.Option(help="More training data to check against.", rich_help_panel=ROWS),
    ] = None,
    allow_leaks: Annotated[
        bool,
        typer.Option(
            "--allow-leaks", help="Keep rows that stand in training data.", rich_help_panel=ROWS
        ),
    ] = False,
    reference_is: Annotated[
        str | None, typer.Option(help="gold or ceiling.", show_default="ceiling for a log")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a set that exists.")] = False,
    project: ProjectOption = HERE,
    json: JsonOption = False,
) -> None:
    """Build an eval set from a usage log, CSV, JSONL or Parquet.

    Of a log, the logged answer becomes the reference, so no key is needed; the task's contract
    takes the bare input out of the request. Duplicates and rows that stand in training data are
    left out; every refused row is listed with its line and the reason beside the set.
    """
    with session("eval import", json=json) as talk:
        from stepdown.wiring.environment import Environment
        from stepdown.wiring.import_project import Wishes, open_if_any, run_import
        from stepdown.wiring.import_report import as_data, document

        columns = {
            "input": input_, "reference": reference, "id": id_, "group": group, "segment": segment,
            "history": history, "tools": tools, "images": images,
        }  # fmt: skip
        form = _one_of("--as", as_, ("auto", "log", "table"))
        if form == "auto" and any(columns.values()):
            form = "table"
        wishes = Wishes(
            to=to,
            form=form,
            step=step,
            model=model,
            columns=columns,
            keep=tuple(name for name in keep.split(",") if name),
            encoding=encoding,
            sample=sample,
            by=None if by is None else _one_of("--by", by, ("label", "segment", "none")),
            duplicates=_one_of("--duplicates", duplicates, ("drop", "exact", "keep")),
            against=tuple(against or ()),
            allow_leaks=allow_leaks,
            reference_is=None
            if reference_is is None
            else _one_of("--reference-is", reference_is, ("gold", "ceiling")),
            overwrite=force,
        )
        workspace = open_if_any(project)
        found = run_import(
            sources,
            wishes,
            workspace=workspace,
            task=_task(workspace, task, project),
            today=Environment.current().today,
            watch=_watch(talk),
        )
        for warning in found.warnings:
            talk.warn(warning)
        talk.finish(as_data(found), document(found, project))


def _one_of(option: str, said: str, allowed: tuple[str, ...]) -> Any:
    if said not in allowed:
        raise InputError(f"{option} {said!r} is unknown.", f"Use one of {', '.join(allowed)}.")
    return said


def _task(workspace: Any, name: str | None, project: Path) -> Any:
    if name is None:
        tasks = {} if workspace is None else workspace.project.tasks
        return next(iter(tasks.values())) if len(tasks) == 1 else None
    if workspace is None:
        raise InputError(
            f"The task {name!r} cannot be looked up: there is no stepdown.toml in {project}.",
            "Write one with `stepdown init`, or leave --task out and name the columns.",
        )
    return workspace.project.task(name)


def _watch(talk: Session) -> Any:
    import sys

    if not sys.stderr.isatty():
        return None

    def show(name: str, rows: int) -> None:
        talk.err.print(f"{name}: {rows:,} rows", end="\r", markup=False, highlight=False)

    return show
