"""`serve`: the gateway of a project's lock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

from msgspec import Struct

from stepdown import __version__
from stepdown.adapters.gateway.app import GatewayApp, is_loopback
from stepdown.adapters.storage.ledger import Filled, SpoolLedger
from stepdown.core.exposure import Exposure
from stepdown.ports.pages import Pages
from stepdown.wiring.dashboard import Dashboard
from stepdown.wiring.exposing import start_of
from stepdown.wiring.hosted import key_in_file
from stepdown.wiring.reloading import Desk
from stepdown.wiring.review_watch import Looking
from stepdown.wiring.runner import gates_of
from stepdown.wiring.standing import standing
from stepdown.wiring.workspace import Workspace


@contextmanager
def gateway(
    workspace: Workspace,
    host: str,
    start: Mapping[str, Exposure] | None = None,
    filled: Filled = "here",
    restarts: Mapping[str, int] = {},
) -> Iterator[tuple[GatewayApp, Desk]]:
    """Open the service behind its HTTP app; the ledger is flushed at the end.

    `start` is the exposure at which each task starts; stepdown.toml's where it is None.
    `filled` says who fills the ledger's database, `restarts` how often this worker was replaced.

    Raises:
        LockError: the lock does not match the files.
        ConfigError: the address is not loopback and the API key is not set.
    """
    serve, key = workspace.project.serve, api_key(workspace, host)
    begun = start_of(workspace.project, {}, shadow=False) if start is None else start
    gates = gates_of(workspace)
    with (
        ExitStack() as stack,
        workspace.ledger(filled) as ledger,
        standing(workspace, ledger, begun, gates.readings, restarts) as beside,
    ):
        desk = Desk(workspace, beside, gates)
        if filled == "beside":  # the first worker of a gateway
            looking = Looking(workspace.project.root, 60 * workspace.project.review.look_minutes)
            looking.start()
            stack.callback(looking.close)
        with _pages(desk, ledger, serve.ui) as pages:
            app = GatewayApp(
                desk,
                operations=beside.operations,
                api_key=key,
                max_body_bytes=int(serve.max_body_mb * 1024 * 1024),
                version=__version__,
                pages=pages,
                reading="read" if serve.ui == "read" else "key",
            )
            yield app, desk


@contextmanager
def _pages(desk: Desk, ledger: SpoolLedger, said: str) -> Iterator[Pages | None]:
    """Open the dashboard, unless stepdown.toml says that there is none."""
    if said == "off":
        yield None
        return
    with closing(Dashboard(lambda: desk.workspace, ledger, _today)) as pages:
        yield pages


def _today() -> date:
    return datetime.now(UTC).date()


class LockedDoor(Struct, frozen=True):
    """Whether callers must send a key, for who binds the address before there is an app."""

    has_key: bool


def api_key(workspace: Workspace, host: str) -> str | None:
    """Return the key that callers must send, None on a loopback address without one.

    Raises:
        ConfigError: the address is not loopback and the API key is not set.
    """
    keys = workspace.project.serve
    if keys.api_key_file is not None:
        path = workspace.project.root / Path(keys.api_key_file).expanduser()
        return key_in_file(f"serve.api_key_file: {keys.api_key_file}", path)
    variable = keys.api_key_env
    key = workspace.environment.variables.get(variable) or None
    if key is None and not is_loopback(host):
        return workspace.environment.secret(variable, f"Serving on {host}")
    return key
