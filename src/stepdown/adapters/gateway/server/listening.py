"""The socket that a server listens on: who may be served there, and what is in the way."""

from __future__ import annotations

import errno
import os
import socket
from typing import Any, Protocol

from stepdown.adapters.gateway.door import is_loopback
from stepdown.errors import InputError

LOOPBACK = "127.0.0.1"
BACKLOG = 2048
_LAST_PORT = 65535
_LEAST_FILES = 65536


class Guarded(Protocol):
    """An application that says whether it wants a key."""

    @property
    def has_key(self) -> bool:
        """Whether callers must send a key; without one only a loopback address may be served."""
        ...


def bind(host: str, port: int, app: Guarded) -> socket.socket:
    """Return a socket that listens at the address.

    Raises:
        InputError: the address is not loopback and the app has no key; it cannot be had.
    """
    _check(host, port, app)
    try:
        kind, _, _, _, address = _resolve(host, port)
        return _listening(kind, address)
    except OSError as error:
        raise _cannot_bind(host, port, error) from error


def bind_all(host: str, port: int, app: Guarded, count: int) -> list[socket.socket]:
    """Return so many sockets that share one address; the system spreads callers over them.

    Raises:
        InputError: as `bind`, or the system cannot share a port.
    """
    if count == 1:
        return [bind(host, port, app)]
    if not hasattr(socket, "SO_REUSEPORT"):
        raise InputError("This system cannot share a port.", "Leave --workers out.")
    # Sockets that share a port do not see that others have it: this one does.
    bind(host, port, app).close()
    found: list[socket.socket] = []
    try:
        kind, _, _, _, address = _resolve(host, port)
        for _ in range(count):
            found.append(_listening(kind, address, shared=True))
            address = found[0].getsockname()
    except OSError as error:
        for listener in found:
            listener.close()
        raise _cannot_bind(host, port, error) from error
    return found


def _check(host: str, port: int, app: Guarded) -> None:
    if not app.has_key and not is_loopback(host):
        raise InputError(
            f"{host} can be reached from other machines, and no API key is set.",
            f"Set an API key in the environment, or serve {LOOPBACK}.",
        )
    if not 0 <= port <= _LAST_PORT:  # getaddrinfo would take it modulo 65536
        raise InputError(f"port {port} is not one.", f"Ports are 0 (a free one) to {_LAST_PORT}.")


def _resolve(host: str, port: int) -> Any:
    """Return the first address of a name, IPv4 before IPv6: clients try it first."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return min(found, key=lambda entry: entry[0] != socket.AF_INET)


def _listening(kind: int, address: Any, *, shared: bool = False) -> socket.socket:
    listener = socket.socket(kind, socket.SOCK_STREAM)
    try:
        if os.name == "posix":  # elsewhere it would let two servers share the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
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


def raise_file_limit() -> None:
    """Allow as many open files, and so connections, as this user may have."""
    if os.name != "posix":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _LEAST_FILES if hard == resource.RLIM_INFINITY else min(hard, _LEAST_FILES)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
