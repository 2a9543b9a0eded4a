"""A project served for real: `stepdown serve` as a process, with one hosted tier on loopback.

The tier is a thread that answers every chat request after a pause. The lock is made by hand, so
nothing in it was certified.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from stepdown.core.lock import VERSION, Guarantee, Lock, LockedTask, LockedTier
from stepdown.core.policy import single
from stepdown.wiring.lockfile import write_lock
from stepdown.wiring.workspace import Workspace

RUN = "from stepdown.cli.main import run; run()"
TOML = """\
[project]
name = "served"

[tiers.big]
model = "openai:big"
base_url = "{base}"
price = {{ input_usd_per_mtok = 1.0, output_usd_per_mtok = 1.0, source = "made up" }}

[tasks.reply]
kind = "draft"
tiers = ["big"]
"""


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        time.sleep(self.server.pause_s)  # type: ignore[attr-defined]
        message = {"role": "assistant", "content": "Hello."}
        usage = {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        body = json.dumps({"model": "big", "choices": [choice], "usage": usage}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def big_model(pause_s: float = 0.0) -> Iterator[str]:
    """Run the tier; yield its base address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answer)
    server.daemon_threads = True
    server.pause_s = pause_s  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def write_served(folder: Path, base: str, *, review_by: str = "") -> Path:
    """Write stepdown.toml, and a lock that names the day of its review to tell it from others."""
    folder.mkdir(exist_ok=True)
    (folder / "stepdown.toml").write_text(TOML.format(base=base))
    write_served_lock(folder, review_by)
    return folder


def write_served_lock(folder: Path, review_by: str) -> None:
    """Write a sound lock."""
    workspace = Workspace.open(folder)
    task = workspace.project.task("reply")
    tiers = {
        name: LockedTier(model=t.model, digest=t.digest, place=t.place, price_basis="token")
        for name, t in workspace.locked_tiers(task).items()
    }
    locked = LockedTask(
        policy=single("big"),
        contract=task.contract.digest,
        settings=workspace.project.settings_digest(task),
        guarantee=Guarantee(state="declared", promise="none", review_by=review_by),
        tiers=tiers,
    )
    lock = Lock(version=VERSION, generator="test", project="served", tasks={"reply": locked})
    write_lock(workspace.lock_path, lock)


class Served:
    """A gateway in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._reading = threading.Thread(target=self._read)
        self._reading.start()
        self.url = self.wait_for("Listening on ").split()[2]

    @property
    def address(self) -> str:
        return urlsplit(self.url).netloc

    def wait_for(self, words: str, *, longest_s: float = 20.0) -> str:
        """Return the first line with these words that it says."""
        until = time.monotonic() + longest_s
        while time.monotonic() < until:
            for line in self.lines:
                if words in line:
                    return line
            time.sleep(0.01)
        raise AssertionError(f"it never said {words!r}: {self.lines}")

    def end(self) -> int:
        """Wait for its end; return its exit code."""
        code = self.process.wait(40)
        self._reading.join()
        return code

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.lines.extend(self.process.stderr)


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[Served]:
    """Run `stepdown serve`."""
    command = [sys.executable, "-c", RUN, "serve", "-p", str(folder), "--port", "0", *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield Served(process)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(40)


def ask(connection: http.client.HTTPConnection) -> str:
    """Send one request; return its id when it was answered."""
    body = {"model": "reply", "messages": [{"role": "user", "content": "Hi."}]}
    connection.request("POST", "/v1/chat/completions", json.dumps(body))
    response = connection.getresponse()
    said = json.loads(response.read())
    assert response.status == 200, said
    assert said["choices"][0]["message"]["content"] == "Hello."
    return str(response.headers["x-request-id"])


class Callers:
    """Callers that ask one after the other until told to stop, or until the gateway is gone."""

    def __init__(self, address: str, count: int = 4) -> None:
        self.answered: list[str] = []
        self.failed: list[str] = []
        self._address = address
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(count)]

    def __enter__(self) -> Callers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, count: int) -> None:
        """Wait until so many requests were answered, or nobody asks any more."""
        while len(self.answered) < count and any(t.is_alive() for t in self._threads):
            time.sleep(0.005)

    def _ask(self) -> None:
        connection = http.client.HTTPConnection(self._address, timeout=20)
        try:
            while not self._over.is_set():
                self.answered.append(ask(connection))
        except (OSError, http.client.HTTPException, AssertionError) as error:
            self.failed.append(f"{type(error).__name__}: {error}")
        finally:
            connection.close()
