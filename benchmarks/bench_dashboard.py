"""How long the dashboard's pages take with many traces in the ledger, asked over HTTP.

    python benchmarks/bench_dashboard.py [TRACES] [--folder DIR]

The ledger is SYNTHETIC (`ledger_rows.py`): its figures mean nothing, only its size does. The
gateway is `stepdown serve` as a process of its own. A page is made anew when its figures are two
seconds old, so both a page that is made and one from fresh figures are timed. CPU time is that of
the gateway.
"""

from __future__ import annotations

import argparse
import http.client
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from ledger_rows import TASKS, write_ledger
from stepdown.adapters.storage.rollup import Rollup
from stepdown.core.lock import VERSION, Guarantee, Lock, LockedTask, LockedTier
from stepdown.core.policy import cascade
from stepdown.wiring.lockfile import write_lock
from stepdown.wiring.workspace import Workspace

GOAL_MS = 200.0
STALE_S = 2.1  # figures older than two seconds are made anew
PAGES = {
    "first page": "/ui",
    "first page, a year": "/ui?days=365",
    "a step": "/ui/tasks/intent",
    "traces": "/ui/traces",
    "traces, a rare reason": "/ui/traces?reason=provider_error",
    "traces, a reason that none has": "/ui/traces?outside=nothing",
    "one trace": "/ui/traces/synthetic-00000000",
    "review": "/ui/review",
}
TOML = """\
[project]
name = "synthetic"
baseline = "frontier"

[tiers.expert]
model = "openai:none"
base_url = "http://127.0.0.1:9/v1"

[tiers.frontier]
model = "openai:none"
base_url = "http://127.0.0.1:9/v1"
"""
RUN = "from stepdown.cli.main import run; run()"


def write_project(folder: Path) -> None:
    """Write a project with a lock made by hand: nothing in it was certified, nothing is called."""
    tasks = "".join(
        f'\n[tasks.{name}]\nkind = "draft"\ntiers = ["expert", "frontier"]\n' for name in TASKS
    )
    (folder / "stepdown.toml").write_text(TOML + tasks)
    workspace = Workspace.open(folder)
    locked = {}
    for task in workspace.tasks():
        tiers = {
            name: LockedTier(model=t.model, digest=t.digest, place=t.place, price_basis="list")
            for name, t in workspace.locked_tiers(task).items()
        }
        locked[task.name] = LockedTask(
            policy=cascade(("expert", "frontier"), (0.8,)),
            contract=task.contract.digest,
            settings=workspace.project.settings_digest(task),
            guarantee=Guarantee(state="declared", promise="none", review_by="2099-01-01"),
            tiers=tiers,
        )
    write_lock(
        workspace.lock_path,
        Lock(version=VERSION, generator="bench", project="synthetic", tasks=locked),
    )


@contextmanager
def served(folder: Path) -> Iterator[tuple[int, int]]:
    """Run the gateway; yield its process and port."""
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, "serve", "--port", "0", "-p", str(folder)],
        env={**os.environ, "OPENAI_API_KEY": "none", "STEPDOWN_API_KEY": ""},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        port = next(
            int(found[1])
            for line in process.stderr
            if (found := re.search(r"Listening on http://127\.0\.0\.1:(\d+)", line))
        )
        yield process.pid, port
    finally:
        process.terminate()
        process.wait(60)
        process.stderr.close()


def ask(port: int, path: str) -> tuple[float, str]:
    """Return the seconds of one request on a connection of its own, and the page."""
    started = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read().decode()
    took = time.perf_counter() - started
    connection.close()
    assert answer.status == 200, (path, answer.status, body[:500])
    return took, body


def cpu_s(pid: int) -> float:
    """Return the CPU time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def left_of(body: str) -> int:
    """Return how many rows a page says are not counted yet."""
    found = re.search(r"([\d,]+) rows of the ledger are not counted yet", body)
    return int(found[1].replace(",", "")) if found else 0


def uncounted(folder: Path) -> None:
    """Time the first page of a ledger that nobody has counted, and how long counting takes."""
    ledger = folder / ".stepdown" / "ledger"
    for path in ledger.glob("rollup.sqlite*"):
        path.unlink()
    with served(folder) as (pid, port):
        took, body = ask(port, "/ui")
        print(f"first page, nothing counted yet: {took * 1000:.0f} ms, {left_of(body):,} rows left")
        started, before, slowest = time.perf_counter(), cpu_s(pid), took
        while left_of(body):
            time.sleep(STALE_S)
            took, body = ask(port, "/ui")
            slowest = max(slowest, took)
        wall = time.perf_counter() - started
        print(
            f"all rows counted after {wall:.0f} s (CPU {cpu_s(pid) - before:.1f} s); slowest page "
            f"meanwhile {slowest * 1000:.0f} ms"
        )


def pages(folder: Path, rounds: int) -> None:
    """Time each page when it is made anew, and again from figures that are still fresh."""
    with served(folder) as (pid, port):
        took, _ = ask(port, "/ui")
        print(f"first page of a gateway that has just started: {took * 1000:.0f} ms "
              f"(goal {GOAL_MS:.0f})")  # fmt: skip
        head = f"{'page':32} {'made, median':>13} {'slowest':>9} {'fresh':>9} {'CPU':>9}"
        print(head)
        for name, path in PAGES.items():
            made, fresh, before = [], [], cpu_s(pid)
            for _ in range(rounds):
                time.sleep(STALE_S)
                made.append(ask(port, path)[0] * 1000)
                fresh.append(ask(port, path)[0] * 1000)
            cpu = (cpu_s(pid) - before) / (2 * rounds) * 1000
            print(
                f"{name:32} {statistics.median(made):10.1f} ms {max(made):6.0f} ms "
                f"{statistics.median(fresh):6.1f} ms {cpu:6.1f} ms"
            )


def beside(folder: Path) -> None:
    """Time a small answer while pages are made without a pause: the loop must not wait for them."""
    with served(folder) as (_, port):
        ask(port, "/ui")
        quiet = sorted(ask(port, "/healthz")[0] * 1000 for _ in range(500))
        ending = threading.Event()

        def read() -> None:
            while not ending.is_set():
                ask(port, "/ui/traces?outside=nothing")

        readers = [threading.Thread(target=read) for _ in range(2)]
        for one in readers:
            one.start()
        busy = sorted(ask(port, "/healthz")[0] * 1000 for _ in range(500))
        ending.set()
        for one in readers:
            one.join()
        for name, seen in (("alone", quiet), ("beside 2 readers", busy)):
            print(f"/healthz {name}: median {seen[250]:.2f} ms, p99 {seen[495]:.1f} ms")


def counting(ledger: Path, traces: int) -> None:
    """Say what counting one trace costs, in one process, from an empty file."""
    for path in ledger.parent.glob("rollup.sqlite*"):
        path.unlink()
    before = time.process_time()
    Rollup(ledger).catch_up(3600)
    spent = time.process_time() - before
    size = ledger.with_name("rollup.sqlite").stat().st_size
    print(f"counting: {spent / traces * 1e6:.1f} µs of CPU a trace; the sums are {size:,} bytes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("traces", nargs="?", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="keep the project here, and use it again")
    parser.add_argument("--rounds", type=int, default=5)
    said = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = said.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        write_project(folder)
        ledger = folder / ".stepdown" / "ledger" / "ledger.sqlite"
        if not ledger.exists():
            write_ledger(ledger.parent, said.traces, datetime.now(UTC))
        print(f"SYNTHETIC ledger: {said.traces:,} traces, {ledger.stat().st_size / 1e9:.2f} GB")
        uncounted(folder)
        counting(ledger, said.traces)
        pages(folder, said.rounds)
        beside(folder)


if __name__ == "__main__":
    main()
