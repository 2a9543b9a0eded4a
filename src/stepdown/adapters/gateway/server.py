"""Run the gateway under uvicorn: the address, the port, a clean start and a clean stop.

Source: uvicorn 0.54, `Config` and `Server`. Nothing is read from the environment here.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

from stepdown.adapters.gateway.app import GatewayApp, is_loopback
from stepdown.errors import InputError

if TYPE_CHECKING:
    from uvicorn import Server

LOOPBACK = "127.0.0.1"
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_POLL_S = 0.05
_LAST_PORT = 65535


def serve(
    app: GatewayApp,
    host: str = LOOPBACK,
    port: int = 8080,
    *,
    on_ready: Callable[[str], None] | None = None,
    grace_s: int = 30,
) -> None:
    """Serve until SIGINT or SIGTERM; requests under way get `grace_s` seconds to finish.

    `port` 0 takes a free one. `on_ready` is called once with the base URL, when requests are
    answered. Returns after a clean stop, so that the caller can close what is behind the app.

    Raises:
        InputError: not a loopback address and no API key; the port is taken or not allowed.
    """
    with closing(bind(host, port, app)) as listener:
        server = _server(app, lambda: _tell(on_ready, listener), grace_s)
        with _stopped_by_signals(server):
            server.run(sockets=[listener])


@contextmanager
def running(app: GatewayApp, host: str = LOOPBACK, port: int = 0) -> Iterator[str]:
    """Serve from a background thread for as long as the block runs; yield the base URL.

    Raises:
        InputError: as `serve`.
    """
    ready = threading.Event()
    with closing(bind(host, port, app)) as listener:
        server = _server(app, ready.set, grace_s=5)
        run = threading.Thread(target=server.run, args=([listener],), name="stepdown-gateway")
        run.start()
        try:
            while not ready.wait(_POLL_S) and run.is_alive():
                continue
            if not ready.is_set():
                raise RuntimeError("the gateway's thread ended before it was ready")
            yield base_url(listener)
        finally:
            server.should_exit = True
            run.join()


def bind(host: str, port: int, app: GatewayApp) -> socket.socket:
    """Return a socket that listens at the address.

    Raises:
        InputError: the address is not loopback and the app has no key; it cannot be had.
    """
    if not app.has_key and not is_loopback(host):
        raise InputError(
            f"{host} can be reached from other machines, and no API key is set.",
            f"Set an API key in the environment, or serve {LOOPBACK}.",
        )
    if not 0 <= port <= _LAST_PORT:  # getaddrinfo would take it modulo 65536
        raise InputError(f"port {port} is not one.", f"Ports are 0 (a free one) to {_LAST_PORT}.")
    try:
        kind, _, _, _, address = _resolve(host, port)
        return _listening(kind, address)
    except OSError as error:
        raise _cannot_bind(host, port, error) from error


def _resolve(host: str, port: int) -> Any:
    """Return the first address of a name, IPv4 before IPv6: clients try it first."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return min(found, key=lambda entry: entry[0] != socket.AF_INET)


def _listening(kind: int, address: Any) -> socket.socket:
    listener = socket.socket(kind, socket.SOCK_STREAM)
    try:
        if os.name == "posix":  # elsewhere it would let two servers share the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except BaseException:
        listener.close()
        raise
    return listener


def _cannot_bind(host: str, port: int, error: OSError) -> InputError:
    code = error.errno
    if code == errno.EADDRINUSE:
        return InputError(
            f"port {port} on {host} is in use.",
            f"`lsof -i :{port}` or `ss -ltnp 'sport = :{port}'` shows by whom; "
            "stop that program, or choose another port (0 takes a free one).",
        )
    if code == errno.EACCES:
        return InputError(f"port {port} needs more rights.", "Choose a port from 1024 on.")
    return InputError(f"cannot serve {host}:{port}: {error}.", "Choose another address or port.")


def base_url(listener: socket.socket) -> str:
    """Return the URL of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _tell(on_ready: Callable[[str], None] | None, listener: socket.socket) -> None:
    if on_ready is not None:
        on_ready(base_url(listener))


def _server(app: GatewayApp, started: Callable[[], None], grace_s: int) -> Server:
    from uvicorn import Config, Server

    class TellingServer(Server):
        """A server that tells when it is up, and leaves signals to whoever runs it."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets=sockets)
            if self.started:
                started()

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    config = Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        workers=1,
        log_config=None,
        access_log=False,
        proxy_headers=False,
        forwarded_allow_ips="",
        server_header=False,
        timeout_graceful_shutdown=grace_s,
    )
    return TellingServer(config)


@contextmanager
def _stopped_by_signals(server: Server) -> Iterator[None]:
    """Stop on the first signal, drop what is under way on the second SIGINT.

    uvicorn's own handling raises the signal again when it has stopped, which would end the
    process before the ledger is closed.
    """

    def stop(number: int, _frame: FrameType | None) -> None:
        if server.should_exit and number == signal.SIGINT:
            server.force_exit = True
        server.should_exit = True

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, stop) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
