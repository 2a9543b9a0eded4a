"""`stepdown report`: before and after, from the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stepdown.cli.options import HERE, JsonOption, ProjectOption
from stepdown.cli.session import open_workspace, session


def report(
    project: ProjectOption = HERE,
    html: Annotated[
        Path | None, typer.Option("--html", help="The page; .stepdown/report.html otherwise.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="Only traces from this ISO time on.")] = None,
    json: JsonOption = False,
) -> None:
    """What was saved, kept and lost: per step, from the ledger, with the evidence of the lock.

    Writes one self-contained HTML page with the tables, cost against score of the policies that
    were searched, and confidence against accuracy.
    """
    with session("report", json=json) as talk:
        import msgspec

        from stepdown.adapters.render.html import write_html
        from stepdown.core.beside import Feedback
        from stepdown.wiring.reporting import report as make

        check_time(since)
        workspace = open_workspace(talk, project)
        with workspace.kept_ledger() as ledger:
            ledger.flush()
            said = list(ledger.records(Feedback))
            document = make(workspace, ledger.traces(since=since), said)
        page = html or workspace.project.state / "report.html"
        write_html(page, document)
        talk.say(f"Wrote {page}")
        short = msgspec.structs.replace(document, sections=document.sections[:1])
        talk.finish({"document": document, "page": str(page)}, short)


def check_time(since: str | None) -> None:
    """Refuse a time that could not be compared with those of the traces."""
    from datetime import datetime

    from stepdown.errors import InputError

    try:
        datetime.fromisoformat(since or "2026-01-01")
    except ValueError:
        raise InputError(
            f"--since {since!r} is not an ISO time.", "For example 2026-11-22 or 2026-11-22T09:30."
        ) from None
