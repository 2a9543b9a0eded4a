"""`stepdown serve`: the locked policies behind the API that people already call."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from stepdown.cli.options import HERE, ProjectOption
from stepdown.cli.session import open_workspace, session


def serve(
    project: ProjectOption = HERE,
    host: Annotated[str | None, typer.Option(help="Address; [serve] host, else loopback.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one.")] = None,
) -> None:
    """Serve the lock on an OpenAI-compatible address: /v1/chat/completions, /v1/models, /healthz.

    Ask for a task by its name as the model. Refuses a lock whose digests do not match the files.
    An address other than loopback needs the API key of [serve] api_key_env in the environment.
    """
    with session("serve") as talk:
        from stepdown.adapters.gateway.server import serve as listen
        from stepdown.wiring.serving import gateway

        workspace = open_workspace(talk, project)
        said = workspace.project.serve
        where, door = host or said.host, said.port if port is None else port
        with gateway(workspace, where) as (app, service):
            for name, state in service.status()["tasks"].items():
                talk.say(f"{name:<16} {state['guarantee']:<10} {' > '.join(state['tiers'])}")
            listen(app, where, door, on_ready=lambda url: _ready(talk, url))
        talk.say("Stopped; the ledger is flushed.")


def _ready(talk: Any, url: str) -> None:
    talk.say(f"Listening on {url} (OpenAI base URL: {url}/v1). Stop with Ctrl-C.")
