"""`stepdown review`: every promise renewed, changed or withdrawn, as a lock diff in words."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stepdown.cli.options import HERE, HtmlOption, JsonOption, ProjectOption, TasksArgument
from stepdown.cli.session import DONE, NO, Session, open_workspace, session
from stepdown.cli.watching import Watching

if TYPE_CHECKING:
    from stepdown.core.lock import Lock
    from stepdown.wiring.review_proposal import Proposal
    from stepdown.wiring.reviewing import Asked, Reviewed
    from stepdown.wiring.workspace import Workspace


def review(
    tasks: TasksArgument = None,
    *,
    project: ProjectOption = HERE,
    fresh: Annotated[
        list[Path] | None,
        typer.Option(help="A file of labelled rows like [data], which no test has seen."),
    ] = None,
    now: Annotated[
        bool, typer.Option("--now", help="Test even where the rows can hardly decide.")
    ] = False,
    relook: Annotated[
        bool,
        typer.Option(help="Test again on rows already looked at; the lock states the added risk."),
    ] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Put the proposed lock in force.")] = False,
    branch: Annotated[
        str, typer.Option(help="Commit the proposed lock and the report on this new git branch.")
    ] = "",
    html: HtmlOption = None,
    json: JsonOption = False,
) -> None:
    """Ask of every promise whether it is still true, and propose the lock of the next month.

    Gathers rows that came since the last test: what audits and shadow runs kept, with the labels
    of feedback and `stepdown label`, and files of labelled rows. Earlier rows choose, fresh ones
    test: first the policy in force, then what this month's search finds among all tiers, at
    today's prices. Too few rows: nothing is tested, and it says how many decide.

    Writes .stepdown/review/proposed.lock and says in words what changes for whom. Exit code 1:
    something must change, or a promise has fallen due; so it runs in cron or CI.
    """
    with session("review", json=json) as talk:
        from stepdown.wiring import review_proposal
        from stepdown.wiring.model_check import stale_prices

        workspace = open_workspace(talk, project)
        workspace.fresh = tuple(fresh or ())
        for said in stale_prices(workspace.environment.today):
            talk.warn(said)
        lock = workspace.lock()
        asked = _asked(workspace, now=now, relook=relook)
        with Watching(talk.err) as watch:
            found = asyncio.run(_run(talk, workspace, tasks, lock, asked, watch))
        proposal = review_proposal.propose(workspace, found, lock)
        if branch:
            _branch(talk, workspace, branch, proposal, found)
        if apply:
            review_proposal.apply(workspace, proposal, found)
            talk.say(f"Applied: {workspace.lock_path} is the proposed lock now.")
        elif proposal.differs:
            talk.say(f"Proposed: {proposal.path}; put it in force with --apply.")
        _finish(talk, workspace, found, html, applied=apply)


def _asked(workspace: Workspace, *, now: bool, relook: bool) -> Asked:
    from stepdown.wiring.review_proposal import earlier_looks
    from stepdown.wiring.reviewing import Asked

    looks = earlier_looks(workspace)
    return Asked(files=workspace.fresh, now=now, relook=relook, looks=looks)


async def _run(
    talk: Session, workspace: Workspace, tasks: Any, lock: Lock, asked: Asked, watch: Any
) -> list[Reviewed]:
    from stepdown.wiring.review_targets import reviewable
    from stepdown.wiring.reviewing import review_task

    try:
        wanted = reviewable(workspace, lock, tasks or (), talk.warn)
        return [await review_task(workspace, task, lock, asked, watch) for task in wanted]
    finally:
        await workspace.aclose()


def _branch(
    talk: Session,
    workspace: Workspace,
    branch: str,
    proposal: Proposal,
    found: list[Reviewed],
) -> None:
    from stepdown.adapters.render.plain import markdown
    from stepdown.wiring.review_branch import commit_on_branch
    from stepdown.wiring.review_report import document, message

    today = workspace.environment.today.isoformat()
    report = markdown(document(found, workspace.project.name, today))
    files = {
        workspace.lock_path.name: proposal.path.read_bytes(),
        f"reviews/{today}.md": report.encode(),
    }
    commit = commit_on_branch(
        workspace.project.root,
        branch,
        files,
        message(found, today),
        workspace.environment.variables,
    )
    talk.say(f"Committed {commit[:12]} on the branch {branch}; your work tree is as it was.")


def _finish(
    talk: Session,
    workspace: Workspace,
    found: list[Reviewed],
    html: Path | None,
    *,
    applied: bool,
) -> None:
    from stepdown.wiring.review_report import as_data, document

    report = document(found, workspace.project.name, workspace.environment.today.isoformat())
    if html is not None:
        from stepdown.adapters.render.html import write_html

        write_html(html, report)
    must = any(one.urgent for one in found) and not applied
    data = {"tasks": [as_data(one) for one in found], "must_change": must, "applied": applied}
    talk.finish(data, report, NO if must else DONE)
