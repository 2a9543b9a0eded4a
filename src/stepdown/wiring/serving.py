"""`serve`: the gateway of a project's lock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from stepdown import __version__
from stepdown.adapters.gateway.app import GatewayApp, is_loopback
from stepdown.serve.service import Service
from stepdown.wiring.runner import open_service
from stepdown.wiring.workspace import Workspace


@contextmanager
def gateway(workspace: Workspace, host: str) -> Iterator[tuple[GatewayApp, Service]]:
    """Open the service behind its HTTP app; the ledger is flushed at the end.

    Raises:
        LockError: the lock does not match the files.
        ConfigError: the address is not loopback and the API key is not set.
    """
    serve = workspace.project.serve
    key = workspace.environment.variables.get(serve.api_key_env) or None
    if key is None and not is_loopback(host):
        key = workspace.environment.secret(serve.api_key_env, f"Serving on {host}")
    with workspace.ledger() as ledger:
        service = open_service(workspace, ledger.append)
        app = GatewayApp(
            service,
            api_key=key,
            max_body_bytes=int(serve.max_body_mb * 1024 * 1024),
            version=__version__,
        )
        yield app, service
