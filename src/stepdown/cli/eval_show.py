"""`stepdown eval show`: answers beside their references."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stepdown.cli.options import HERE, JsonOption, ProjectOption
from stepdown.cli.session import DONE, session

IN_TERMINAL, ON_PAGE = 20, 2000  # answers shown where no limit is given


def eval_show(  # noqa: PLR0917 - options of a command line
    run: Annotated[
        str,
        typer.Argument(
            metavar="[RUN]", help="latest, latest~1, TASK, TASK/TIER, or the beginning of a digest."
        ),
    ] = "latest",
    failures: Annotated[
        bool, typer.Option("--failures", help="Only what failed or has less than the full score.")
    ] = False,
    tier: Annotated[str | None, typer.Option(help="Only this tier.")] = None,
    label: Annotated[str | None, typer.Option(help="Only samples with this reference.")] = None,
    sample: Annotated[str | None, typer.Option(help="Only the sample with this id.")] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="At most so many.", show_default=f"{IN_TERMINAL}; page {ON_PAGE}"),
    ] = None,
    project: ProjectOption = HERE,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write one page with filters here instead.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Browse the answers of a run beside their references.

    The page is one file with filters; it needs no network.
    """
    with session("eval show", json=json) as talk:
        from stepdown.wiring.showing import Wanted, as_data, document, show
        from stepdown.wiring.workspace import Workspace

        workspace = Workspace.open(project)
        wanted = Wanted(tier=tier, failures=failures, label=label, sample=sample)
        usual = IN_TERMINAL if html is None else ON_PAGE
        found = show(workspace, run, wanted, limit or usual)
        if html is not None:
            _write(html, found)
            talk.say(f"Wrote {html}")
        if len(found.answers) < found.matching:
            left = found.matching - len(found.answers)
            talk.warn(f"{left:,} more answers; --limit {found.matching} shows all.")
        talk.finish(as_data(found), document(found) if html is None else None, DONE)


def _write(path: Path, found: object) -> None:
    from stepdown.adapters.render.answers_page import answers_page
    from stepdown.adapters.render.html import write_page
    from stepdown.wiring.showing import Shown, facts

    assert isinstance(found, Shown)
    left = found.matching - len(found.answers)
    note = f"{left:,} more answers were left out of this page; --limit raises it." if left else ""
    title = f"Answers: {found.run.head.task}"
    write_page(path, answers_page(title, facts(found), found.answers, note))
