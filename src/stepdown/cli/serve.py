"""`stepdown serve`: the locked policies behind the API that people already call."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stepdown.cli.options import HERE, ProjectOption
from stepdown.cli.session import Session, open_workspace, session
from stepdown.errors import StepdownError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from socket import socket

    from stepdown.adapters.gateway.server import Worker
    from stepdown.adapters.storage.ledger import Filled
    from stepdown.core.exposure import Exposure
    from stepdown.wiring.reloading import Desk
    from stepdown.wiring.workspace import Workspace

GRACE_S = 30.0  # what requests under way get after SIGTERM; orchestrators kill after 30 s or more


def serve(
    project: ProjectOption = HERE,
    host: Annotated[
        str | None, typer.Option(help="Address; else serve.host of stepdown.toml.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one.")] = None,
    shadow: Annotated[
        bool,
        typer.Option("--shadow", help="Start with today's model; the policy runs beside it."),
    ] = False,
    share: Annotated[
        list[str] | None,
        typer.Option(metavar="TASK=SHARE", help="Start with this share of a task; 0.05, 20%."),
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, max=256, help="Processes that share the port; about one a core.")
    ] = 1,
) -> None:
    """Serve the lock on an OpenAI-compatible address: /v1/chat/completions, /v1/models, /healthz.

    Ask for a task by its name as the model. Refuses a lock whose digests do not match the files.
    An address other than loopback needs an API key in the environment (serve.api_key_env).
    What `stepdown serve share` or `stepdown rollback` said earlier holds over --shadow and --share.
    SIGHUP reloads stepdown.toml and the lock without dropping a request; SIGTERM finishes what is
    under way, then stops.
    """
    with session("serve") as talk:
        from contextlib import ExitStack

        from stepdown.adapters.gateway.server import Workers, bind_all, raise_file_limit
        from stepdown.wiring.serving import LockedDoor, api_key

        workspace = open_workspace(talk, project)
        said = workspace.project.serve
        where, door = host or said.host, said.port if port is None else port
        start = _start(workspace, share or [], shadow=shadow)
        guard = LockedDoor(api_key(workspace, where) is not None)
        with ExitStack() as stack:
            listeners = bind_all(where, door, guard, workers)
            for listener in listeners:
                stack.callback(listener.close)
            raise_file_limit()
            if workers == 1:
                _answer(talk, workspace, where, start, listeners[0])
                return
            kept = Workers(listeners, grace_s=GRACE_S, told=talk.warn).keep(
                lambda: _ready(talk, workspace, listeners[0], f"{workers} workers")
            )
            if not isinstance(kept, int):
                _answer(talk, workspace, where, start, kept.listener, kept)
            elif kept:
                raise SystemExit(kept)


def _answer(
    talk: Session,
    workspace: Workspace,
    host: str,
    start: Mapping[str, Exposure],
    listener: socket,
    worker: Worker | None = None,
) -> None:
    """Answer in this process, alone or as one of several; the first speaks for all."""
    from stepdown.adapters.gateway.server import serve_on
    from stepdown.wiring.serving import gateway

    def ready(_url: str) -> None:
        if worker is None:
            _ready(talk, workspace, listener)
        else:
            worker.is_ready()

    is_first = worker is None or worker.number == 0
    filled: Filled = "beside" if is_first else "elsewhere"
    restarts = {} if worker is None else {str(worker.number + 1): worker.restarts}
    with gateway(workspace, host, start, filled, restarts) as (app, desk):
        if is_first:
            _say_tasks(talk, workspace, desk.status()["tasks"])
        serve_on(
            listener,
            app,
            on_ready=ready,
            on_reload=partial(_reload, talk, desk, is_first=is_first),
            on_stop=desk.stop,
            grace_s=GRACE_S,
            parent_fd=None if worker is None else worker.parent_fd,
        )
    if is_first:
        talk.say("Stopped; the ledger is flushed.")


async def _reload(talk: Session, desk: Desk, *, is_first: bool) -> None:
    """Serve the lock as it is now; one that cannot be served leaves the old one in its place."""
    try:
        said = await desk.reload()
    except StepdownError as error:
        talk.warn(f"Not reloaded, the lock from before stays: {error.message} {error.hint}".strip())
    else:
        if is_first:
            talk.say(said)


def _start(workspace: Workspace, said: list[str], *, shadow: bool) -> dict[str, Exposure]:
    from stepdown.wiring.changing import read_shares
    from stepdown.wiring.exposing import start_of

    shares = {name: one.share for name, one in read_shares(workspace, said).items()}
    return start_of(workspace.project, shares, shadow=shadow)


def _say_tasks(talk: Session, workspace: Workspace, tasks: Any) -> None:
    from stepdown.wiring.exposing import path_of, read_spoken
    from stepdown.wiring.lifecycle import waiting

    for said in waiting(workspace):
        talk.say(said)
    told = read_spoken(path_of(workspace.project)).tasks
    for name, state in tasks.items():
        tiers = " > ".join(state["tiers"])
        by = f" ({told[name].by}, {told[name].at[:16]})" if name in told else ""
        talk.say(f"{name:<16} {state['guarantee']:<10} {tiers}; {state['serving']}{by}")
        if state.get("withdrawn"):
            talk.warn(
                f"{name}: an alarm took its promise back: {state['withdrawn']}. See `stepdown "
                f"review status --task {name}`; a new certificate ends it."
            )
        elif state["guarantee"] == "withdrawn":
            talk.warn(
                f"{name}: its guarantee was due for review on {state['review_by']}, so its ceiling "
                "answers. Run `stepdown certify`."
            )


def _ready(talk: Session, workspace: Workspace, listener: socket, by: str = "") -> None:
    from stepdown.adapters.gateway.server import base_url

    url = base_url(listener)
    told = f", {by}" if by else ""
    talk.say(f"Listening on {url} (OpenAI base URL: {url}/v1){told}. Stop with Ctrl-C.")
    if workspace.project.serve.ui != "off":
        talk.say(f"Dashboard: {url}/ui")
