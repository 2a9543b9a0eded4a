"""`stepdown audit`: what each step costs, and which could step down."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stepdown.cli.options import HERE, HtmlOption, JsonOption, ProjectOption
from stepdown.cli.session import Session, session

if TYPE_CHECKING:
    from stepdown.audit.bill import AuditReport
    from stepdown.config.schema import AuditKeys
    from stepdown.wiring.audit_writing import Wish


WRITE = "Write a project"


def audit(  # noqa: PLR0917 - options of a command line
    logs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[LOG]...", help="Files, folders, globs or - (stdin); else [audit] logs."
        ),
    ] = None,
    project: ProjectOption = HERE,
    step: Annotated[str | None, typer.Option(help="Name of the step that made all calls.")] = None,
    map_: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="FIELD=COLUMN", help="Where a table keeps what."),
    ] = None,
    html: HtmlOption = None,
    write: Annotated[
        bool,
        typer.Option(
            "--write", help="Add the steps as tasks to stepdown.toml.", rich_help_panel=WRITE
        ),
    ] = False,
    rows: Annotated[
        int, typer.Option(min=20, help="Most rows of each eval set.", rich_help_panel=WRITE)
    ] = 5000,
    mask: Annotated[
        bool,
        typer.Option("--mask", help="Mask keys and personal data in them.", rich_help_panel=WRITE),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only show what --write would do.", rich_help_panel=WRITE),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Show what each step costs and which could step down, from the logs that you have.

    Reads OpenAI and Anthropic pairs and batches, LiteLLM, Langfuse, Helicone, OpenTelemetry spans
    and plain tables, packed or not, known by their content. Needs no key and no project.

    With --write, the steps become tasks of a project with their contracts and eval sets, so that
    `stepdown eval` runs next with no key: the logged answers are the references.
    """
    with session("audit", json=json) as talk:
        from stepdown.audit.document import audit_document
        from stepdown.audit.step_rules import Named
        from stepdown.config.steps_file import read_steps
        from stepdown.wiring import auditing
        from stepdown.wiring.audit_writing import Wish
        from stepdown.wiring.environment import Environment
        from stepdown.wiring.log_files import logs_of

        named = Named(read_steps(project))
        asked = asked_logs(logs, project)
        columns = {**asked.columns, **_mapped(map_ or [])}
        report = auditing.run(
            logs_of(asked.logs, sys.stdin.buffer),
            today=Environment.current().today,
            step=step,
            columns=columns,
            named=named,
            watch=_watch(talk),
        )
        if write or dry_run:
            wish = Wish(root=project, rows=rows, masked=mask, dry_run=dry_run)
            _write(talk, report, asked.logs, wish, step=step, columns=columns)
        for name, calls in named.counts.most_common():
            talk.say(f"steps.toml: {calls:,} calls are {name}.")
        document = audit_document(report)
        if html is not None:
            from stepdown.adapters.render.html import write_html

            write_html(html, document)
        talk.finish(report, document)


def _write(
    talk: Session,
    report: AuditReport,
    logs: list[str],
    wish: Wish,
    *,
    step: str | None,
    columns: dict[str, str],
) -> None:
    """Write the project, show what changed, and end the command."""
    from stepdown.audit.step_rules import Named
    from stepdown.config.steps_file import read_steps
    from stepdown.errors import InputError
    from stepdown.wiring.audit_writing import write_project
    from stepdown.wiring.audit_written import written_document
    from stepdown.wiring.environment import Environment
    from stepdown.wiring.log_files import batches_of, files_of

    if "-" in logs:
        raise InputError(
            "--write reads a log more than once, and standard input can be read once.",
            "Put the log into a file.",
        )
    files, rules = files_of(logs), read_steps(wish.root)
    found = write_project(
        report,
        files,
        lambda: Named(rules).over(batches_of(files, step=step, columns=columns)),
        wish,
        today=Environment.current().today,
    )
    talk.print(found.diff)
    talk.finish(found, written_document(found))


def asked_logs(logs: list[str] | None, project: Path) -> AuditKeys:
    """Return the logs that were named, else the project's; columns are the project's, if any."""
    from msgspec.structs import replace

    from stepdown.config.project import load_project
    from stepdown.config.schema import AuditKeys
    from stepdown.errors import ConfigError

    if logs and not (project / "stepdown.toml").is_file():
        return AuditKeys(logs=logs)
    found = load_project(project)
    if not logs and not found.audit.logs:
        raise ConfigError("No log was named.", "Name files, or [audit] logs in stepdown.toml.")
    return replace(found.audit, logs=logs or [str(found.root / log) for log in found.audit.logs])


def _mapped(said: list[str]) -> dict[str, str]:
    """Return `FIELD=COLUMN` as a mapping."""
    from stepdown.errors import InputError

    for pair in said:
        if not all(pair.partition("=")[::2]):
            raise InputError(f"--map {pair!r} is not FIELD=COLUMN.", "As in: --map cost_usd=price")
    return dict(pair.split("=", 1) for pair in said)


def _watch(talk: Session) -> Any:
    if not sys.stderr.isatty():
        return None

    def show(log: str, rows: int) -> None:
        talk.err.print(f"{log}: {rows:,} calls", end="\r", markup=False, highlight=False)

    return show
