"""`stepdown audit`: what each step costs, and which could step down."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from stepdown.cli.options import HERE, HtmlOption, JsonOption, ProjectOption
from stepdown.cli.session import Session, session


def audit(
    logs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[LOG]...", help="Files, folders or globs; else [audit] logs."),
    ] = None,
    project: ProjectOption = HERE,
    step: Annotated[str | None, typer.Option(help="Name of the step that made all calls.")] = None,
    html: HtmlOption = None,
    json: JsonOption = False,
) -> None:
    """Show what each step costs and which could step down, from the logs that you have.

    Reads OpenAI request/response pairs, LiteLLM, OpenTelemetry GenAI spans and plain tables (CSV,
    JSONL, Parquet; gzip too), known by their content. Needs no key and no project.
    """
    with session("audit", json=json) as talk:
        from stepdown.audit.document import audit_document
        from stepdown.wiring import auditing
        from stepdown.wiring.environment import Environment

        files = auditing.files_of(logs or _configured(project))
        report = auditing.run(
            files, today=Environment.current().today, step=step, watch=_watch(talk)
        )
        document = audit_document(report)
        if html is not None:
            from stepdown.adapters.render.html import write_html

            write_html(html, document)
        talk.finish(report, document)


def _configured(project: Any) -> list[str]:
    from stepdown.config.project import load_project
    from stepdown.errors import ConfigError

    found = load_project(project)
    if not found.audit.logs:
        raise ConfigError("No log was named.", "Name files, or [audit] logs in stepdown.toml.")
    return [str(found.root / log) for log in found.audit.logs]


def _watch(talk: Session) -> Any:
    import sys

    if not sys.stderr.isatty():
        return None

    def show(path: Any, rows: int) -> None:
        talk.err.print(f"{path.name}: {rows} calls", end="\r", markup=False, highlight=False)

    return show
