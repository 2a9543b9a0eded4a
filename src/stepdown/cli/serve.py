"""`stepdown serve`: the locked policies behind the API that people already call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from stepdown.cli.options import HERE, ProjectOption
from stepdown.cli.session import Session, open_workspace, session

if TYPE_CHECKING:
    from stepdown.core.exposure import Exposure
    from stepdown.wiring.workspace import Workspace


def serve(
    project: ProjectOption = HERE,
    host: Annotated[str | None, typer.Option(help="Address; [serve] host, else loopback.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one.")] = None,
    shadow: Annotated[
        bool,
        typer.Option("--shadow", help="Start with today's model; the policy runs beside it."),
    ] = False,
    share: Annotated[
        list[str] | None,
        typer.Option(metavar="TASK=SHARE", help="Start with this share of a task; 0.05, 20%."),
    ] = None,
) -> None:
    """Serve the lock on an OpenAI-compatible address: /v1/chat/completions, /v1/models, /healthz.

    Ask for a task by its name as the model. Refuses a lock whose digests do not match the files.
    An address other than loopback needs the API key of [serve] api_key_env in the environment.
    What `stepdown serve share` or `stepdown rollback` said earlier holds over --shadow and --share.
    """
    with session("serve") as talk:
        from stepdown.adapters.gateway.server import serve as listen
        from stepdown.wiring.serving import gateway

        workspace = open_workspace(talk, project)
        said = workspace.project.serve
        where, door = host or said.host, said.port if port is None else port
        start = _start(workspace, share or [], shadow=shadow)
        with gateway(workspace, where, start) as (app, service):
            _say_tasks(talk, workspace, service.status()["tasks"])
            listen(app, where, door, on_ready=lambda url: _ready(talk, url))
        talk.say("Stopped; the ledger is flushed.")


def _start(workspace: Workspace, said: list[str], *, shadow: bool) -> dict[str, Exposure]:
    from stepdown.wiring.changing import read_shares
    from stepdown.wiring.exposing import start_of

    shares = {name: one.share for name, one in read_shares(workspace, said).items()}
    return start_of(workspace.project, shares, shadow=shadow)


def _say_tasks(talk: Session, workspace: Workspace, tasks: Any) -> None:
    from stepdown.wiring.exposing import path_of, read_spoken

    told = read_spoken(path_of(workspace.project)).tasks
    for name, state in tasks.items():
        tiers = " > ".join(state["tiers"])
        by = f" ({told[name].by}, {told[name].at[:16]})" if name in told else ""
        talk.say(f"{name:<16} {state['guarantee']:<10} {tiers}; {state['serving']}{by}")
        if state["guarantee"] == "withdrawn":
            talk.warn(
                f"{name}: its guarantee was due for review on {state['review_by']}, so its ceiling "
                "answers. Run `stepdown certify`."
            )


def _ready(talk: Any, url: str) -> None:
    talk.say(f"Listening on {url} (OpenAI base URL: {url}/v1). Stop with Ctrl-C.")
