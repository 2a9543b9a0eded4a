"""The mock upstream and the load generator, compiled once and run on this machine only."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PLACE = HERE.parents[1] / "build" / "bench"


def program(name: str) -> Path:
    """Return the compiled program, built anew when its source is newer."""
    source, target = HERE / f"{name}.c", PLACE / name
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        sys.exit("A C compiler is needed: `apt-get install gcc libc6-dev`.")
    if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
        PLACE.mkdir(parents=True, exist_ok=True)
        subprocess.run([compiler, "-O2", "-o", str(target), str(source)], check=True)
    return target


class SilentError(Exception):
    """A server that did not come up."""


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(port: int, process: subprocess.Popen[Any], longest_s: float = 120.0) -> None:
    """Wait until something listens.

    Raises:
        SilentError: the process ended first, or took too long.
    """
    until = time.monotonic() + longest_s
    while time.monotonic() < until:
        if process.poll() is not None:
            raise SilentError(f"{process.args!r} ended with {process.returncode} too early")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise SilentError(f"{process.args!r} did not listen within {longest_s:g} s")


@contextmanager
def mock() -> Iterator[int]:
    """Run the mock upstream; yield its port."""
    port = free_port()
    command = [str(program("mock")), str(port)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        wait_for(port, process)
        yield port
    finally:
        process.kill()
        process.wait()


def load(
    port: int,
    body: Path,
    connections: int,
    *,
    seconds: float | None = None,
    requests: int | None = None,
    path: str = "/v1/chat/completions",
    headers: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Send the body over and over; return the load generator's figures (microseconds)."""
    amount = f"n{requests}" if requests is not None else str(seconds)
    command = [str(program("loadgen")), "127.0.0.1", str(port), path, str(body)]
    command += [str(connections), amount, *headers]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    if found["errors"] or found["not_200"]:
        sys.exit(f"port {port}: {found['errors']} errors, not 200: {done.stderr.strip()}")
    return found
