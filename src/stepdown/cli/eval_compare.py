"""`stepdown eval compare`: two runs, sample by sample."""

from __future__ import annotations

from typing import Annotated

import typer

from stepdown.cli.options import HERE, HtmlOption, JsonOption, ProjectOption
from stepdown.cli.session import DONE, session

RUN = "latest, latest~1, TASK, TASK/TIER, or the beginning of a digest."


def eval_compare(
    a: Annotated[str, typer.Argument(metavar="RUN_A", help=f"The run before: {RUN}")],
    b: Annotated[str, typer.Argument(metavar="RUN_B", help="The run after.")],
    tier: Annotated[str | None, typer.Option(help="Only this tier of both.")] = None,
    rescore: Annotated[
        bool, typer.Option("--rescore", help="Score both again by today's scorer.")
    ] = False,
    limit: Annotated[int, typer.Option(min=0, help="Changes shown each way.")] = 10,
    project: ProjectOption = HERE,
    html: HtmlOption = None,
    json: JsonOption = False,
) -> None:
    """Compare two runs, paired by sample: by how much they differ, and which samples changed.

    Only samples that both runs have are compared. Runs of two scorers are scored again from the
    kept answers; no model is called.
    """
    with session("eval compare", json=json) as talk:
        from stepdown.wiring.versus_report import as_data, document
        from stepdown.wiring.versus_runs import compare_runs
        from stepdown.wiring.workspace import Workspace

        workspace = Workspace.open(project)
        found = compare_runs(workspace, a, b, tier=tier, rescore=rescore)
        page = document(found, limit)
        if html is not None:
            from stepdown.adapters.render.html import write_html

            write_html(html, page)
            talk.say(f"Wrote {html}")
        talk.finish(as_data(found), page, DONE)
