"""`stepdown audit`: what each step costs, and which could step down."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stepdown.cli.options import HERE, HtmlOption, JsonOption, ProjectOption
from stepdown.cli.session import DONE, NO, Session, session

if TYPE_CHECKING:
    from stepdown.audit.bill import AuditReport
    from stepdown.config.schema import AuditKeys
    from stepdown.core.own_price import OwnPrices
    from stepdown.core.report import Document
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
    md: Annotated[Path | None, typer.Option("--md", help="Also write Markdown here.")] = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", help="Also write the bill per step as CSV here.")
    ] = None,
    fail_if: Annotated[
        str | None, typer.Option("--fail-if", help="Exit 1 if true, such as 'waste_usd>500'.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that read a large log; else one a core.")
    ] = None,
    show_content: Annotated[
        bool, typer.Option("--show-content", help="Do not mask secrets and personal data.")
    ] = False,
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
        typer.Option(
            "--mask/--no-mask",
            help="Mask keys and personal data in what is written.",
            rich_help_panel=WRITE,
        ),
    ] = True,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only show what --write would do.", rich_help_panel=WRITE),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Show what each step costs and which could step down, from the logs that you have.

    Reads OpenAI and Anthropic pairs and batches, LiteLLM, Langfuse, Helicone, LangSmith, Portkey,
    OpenTelemetry spans, Bedrock, the database of llm, session files, our ledger and plain tables,
    packed or not, known by their content. Needs no key and no project.

    With --write, the steps become tasks of a project with their contracts and eval sets, so that
    `stepdown eval` runs next with no key: the logged answers are the references.
    """
    with session("audit", json=json) as talk:
        from stepdown.adapters.render.html import write_page
        from stepdown.adapters.render.plain import csv_table
        from stepdown.audit.bill_tables import bill_table
        from stepdown.audit.document import audit_document
        from stepdown.audit.gate import gate_of
        from stepdown.audit.privacy import masked_report
        from stepdown.audit.step_rules import Named
        from stepdown.config.steps_file import read_steps
        from stepdown.wiring import auditing
        from stepdown.wiring.environment import Environment
        from stepdown.wiring.log_files import logs_of

        gate = None if fail_if is None else gate_of(fail_if)
        named = Named(read_steps(project))
        asked = asked_logs(logs, project)
        columns = {**asked.columns, **_mapped(map_ or [])}
        report = auditing.run(
            logs_of(asked.logs, sys.stdin.buffer),
            today=Environment.current().today,
            step=step,
            columns=columns,
            own=_own(project),
            named=named,
            watch=_watch(talk),
            rules=auditing.rules_of(asked),
            workers=workers or Environment.current().cores,
        )
        if write or dry_run:
            from stepdown.wiring.audit_writing import Wish

            wish = Wish(root=project, rows=rows, masked=mask, dry_run=dry_run)
            _write(talk, report, asked.logs, wish, step=step, columns=columns)
        report = report if show_content else masked_report(report)
        for name, calls in named.counts.most_common():
            talk.say(f"steps.toml: {calls:,} calls are {name}.")
        document = audit_document(report)
        _save(document, html, md)
        if csv is not None:
            write_page(csv, csv_table(bill_table(report)))
        code = DONE
        if gate is not None:
            code = _told(talk, gate, report)
        talk.finish(report, document, code)


def _told(talk: Session, gate: Any, report: AuditReport) -> int:
    fires, value = gate.fires(report)
    if not fires:
        return DONE
    talk.warn(f"--fail-if: {gate.metric} is {value:,.6g}, {gate.sign} {gate.limit:g}.")
    return NO


def _save(document: Document, html: Path | None, md: Path | None) -> None:
    from stepdown.adapters.render.html import write_html, write_page
    from stepdown.adapters.render.plain import markdown

    if html is not None:
        write_html(html, document)
    if md is not None:
        write_page(md, markdown(document))


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


def _own(project: Path) -> OwnPrices | None:
    """Return the project's own prices, None without a project."""
    from stepdown.config.project import load_project

    return load_project(project).prices if (project / "stepdown.toml").is_file() else None


def _mapped(said: list[str]) -> dict[str, str]:
    """Return `FIELD=COLUMN` as a mapping."""
    from stepdown.errors import InputError

    for pair in said:
        if not all(pair.partition("=")[::2]):
            raise InputError(f"--map {pair!r} is not FIELD=COLUMN.", "As in: --map cost_usd=price")
    return dict(pair.split("=", 1) for pair in said)


def _watch(talk: Session) -> Any:
    """Return what draws the progress bar: bytes of the file read, on a terminal only."""
    if not sys.stderr.isatty():
        return None

    def show(name: str, rows: int, share: float | None) -> None:
        done = 0 if share is None else round(20 * min(1.0, share))
        bar = "" if share is None else f"[{'█' * done}{'·' * (20 - done)}] {share:4.0%} "
        talk.err.print(f"{bar}{name}: {rows:,} calls", end="\r", markup=False, highlight=False)

    return show
