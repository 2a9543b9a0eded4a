"""`serve`: the gateway of a project's lock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from stepdown import __version__
from stepdown.adapters.gateway.app import GatewayApp, is_loopback
from stepdown.core.exposure import Exposure
from stepdown.serve.service import Service
from stepdown.wiring.changing import note_served
from stepdown.wiring.exposing import start_of
from stepdown.wiring.runner import open_service
from stepdown.wiring.standing import standing
from stepdown.wiring.workspace import Workspace


@contextmanager
def gateway(
    workspace: Workspace, host: str, start: Mapping[str, Exposure] | None = None
) -> Iterator[tuple[GatewayApp, Service]]:
    """Open the service behind its HTTP app; the ledger is flushed at the end.

    `start` is the exposure at which each task starts; stepdown.toml's where it is None.

    Raises:
        LockError: the lock does not match the files.
        ConfigError: the address is not loopback and the API key is not set.
    """
    serve = workspace.project.serve
    key = workspace.environment.variables.get(serve.api_key_env) or None
    if key is None and not is_loopback(host):
        key = workspace.environment.secret(serve.api_key_env, f"Serving on {host}")
    begun = start_of(workspace.project, {}, shadow=False) if start is None else start
    with workspace.ledger() as ledger, standing(workspace, ledger, begun) as beside:
        service = open_service(workspace, beside.books.trace, ramp=beside.ramp)
        beside.serve(service)
        note_served(workspace, workspace.lock(), "serve")
        app = GatewayApp(
            service,
            operations=beside.operations,
            api_key=key,
            max_body_bytes=int(serve.max_body_mb * 1024 * 1024),
            version=__version__,
        )
        yield app, service
