"""HTTP servers in Python under the same application and upstream client, in one run (decision 19).

The application forwards a request of 1 KB to the mock upstream and returns its answer of 1 KB. One
worker each; server, mock and load generator share the machine, so trust the ratios.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from upstream.built import PLACE, free_port, load, mock
from upstream.processes import cpu_s, memory_mb, served

HERE = Path(__file__).parent
PEERS = PLACE / "servers"
NEEDED = ("granian", "uvicorn", "uvloop", "httptools", "msgspec", "aiohappyeyeballs")
SECONDS = 4.0


def python() -> Path:
    """Return the Python of an environment that holds the peers, made when it is missing."""
    found = PEERS / "bin" / "python"
    if not (PEERS / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", str(PEERS)], check=True)
        quiet = ["install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([str(found), "-m", "pip", *quiet, *NEEDED], check=True)
        (PEERS / "ready").touch()
    return found


def commands(port: int) -> dict[str, list[str]]:
    run = [str(python()), "-m"]
    uvicorn = ["uvicorn", "--port", str(port), "--no-access-log", "--log-level", "error"]
    uvicorn += ["--loop", "uvloop", "--http", "httptools"]
    granian = ["granian", "--port", str(port), "--workers", "1", "--loop", "uvloop", "--no-ws"]
    return {
        "ours": [*run, "upstream.forwarding", str(port)],
        "granian RSGI": [*run, *granian, "--interface", "rsgi", "upstream.forwarding:rsgi"],
        "granian ASGI": [*run, *granian, "--interface", "asginl", "upstream.forwarding:asgi"],
        "uvicorn": [*run, *uvicorn, "upstream.forwarding:asgi"],
    }


@contextmanager
def server(name: str, upstream: int) -> Iterator[tuple[int, int]]:
    port = free_port()
    said = {"UPSTREAM_PORT": str(upstream), "PYTHONPATH": f"{HERE}:{HERE.parent / 'src'}"}
    log = PLACE / "server.log"
    with served(commands(port)[name], port, environment=said, folder=HERE, log=log) as pid:
        yield port, pid


def measured(port: int, pid: int, body: Path) -> dict[str, Any]:
    load(port, body, 8, requests=2000)
    alone = load(port, body, 1, seconds=SECONDS)
    before = cpu_s(pid)
    many = load(port, body, 32, seconds=SECONDS)
    spent = (cpu_s(pid) - before) / many["requests"] * 1e6
    return {"alone": alone, "many": many, "cpu_us": spent, "memory_mb": memory_mb(pid)}


def main() -> None:
    body = PLACE / "request.json"
    PLACE.mkdir(parents=True, exist_ok=True)
    said = {"model": "mock", "messages": [{"role": "user", "content": "x" * 950}]}
    body.write_text(json.dumps(said))
    print(
        f"{'server':<14}{'c=1 p50':>9}{'p99 us':>9}{'c=32 rps':>10}{'CPU us':>8}{'MB':>6}{'n':>9}"
    )
    with mock() as upstream:
        for name in commands(0):
            with server(name, upstream) as (port, pid):
                found = measured(port, pid, body)
            alone, many = found["alone"]["latency_us"], found["many"]
            print(
                f"{name:<14}{alone['p50']:>9.0f}{alone['p99']:>9.0f}{many['rps']:>10.0f}"
                f"{found['cpu_us']:>8.0f}{found['memory_mb']:>6.0f}{many['requests']:>9}"
            )


if __name__ == "__main__":
    main()
