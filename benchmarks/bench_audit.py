"""Print speed, memory, start and bill of `stepdown audit` on generated months.

    bench_audit.py [calls [none]]    # with none: only the log without content, for large numbers

Each log is SYNTHETIC (audit_month.py), written to a temporary folder, and read by the verb itself
in a process of its own. Two peers read the same bytes: `json.loads` line by line, which keeps
nothing, and pyarrow's JSON reader, which makes columns of everything. Peak memory is that of the
verb's process or of its largest helper; there is one helper a core.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from audit_month import Month

GOALS = (
    "goals: 50,000 calls/s without content, 50 MB/s with, 500 MB, 1,000 calls under 1 s, bill .1%"
)


def write(folder: Path, calls: int, content: str, *, named: bool = True) -> tuple[Path, Month]:
    month = Month(calls, content, named=named)
    path = folder / f"{content}-{calls}.jsonl"
    with path.open("wb") as file:
        file.writelines(month.lines())
    return path, month


def audited(path: Path) -> tuple[dict[str, Any], float, float, float]:
    """Return the data, wall and CPU seconds, and peak megabytes of one audit."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(path)], capture_output=True, check=True, cwd=path.parent
    )
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    peak = int(done.stderr.decode().rsplit("peak ", 1)[1])
    return json.loads(done.stdout)["data"], wall, cpu, peak / 1024


PEAK = """
import resource, sys
from stepdown.cli.main import app
sys.argv = ["stepdown", "audit", "--json", sys.argv[1]]
try:
    app()
finally:
    status = open("/proc/self/status").read()  # getrusage would count what the parent had
    own = int(status.split("VmHWM:")[1].split()[0])
    helpers = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print("peak", max(own, helpers), file=sys.stderr)
"""


PEERS = """
import json, sys, time
start = time.perf_counter()
with open(sys.argv[1], "rb") as file:
    for line in file:
        json.loads(line)
plain = time.perf_counter() - start
from pyarrow import json as arrow
start = time.perf_counter()
try:
    arrow.read_json(sys.argv[1])
    columns = f"{time.perf_counter() - start:.1f} s"
except Exception as error:
    columns = f"fails ({type(error).__name__})"
print(f"json.loads {plain:.1f} s, pyarrow.json {columns}")
"""


def peers(path: Path) -> str:
    """Return what two peers take, in a process of their own: a child's peak counts its parent's."""
    run = [sys.executable, "-c", PEERS, str(path)]
    return subprocess.run(run, capture_output=True, check=True, text=True).stdout.strip()


def measure(folder: Path, calls: int, content: str, *, named: bool = True) -> None:
    path, month = write(folder, calls, content, named=named)
    size = path.stat().st_size / 1e6
    found, wall, cpu, peak = audited(path)
    by_hand = float(month.usd())
    off = abs(found["cost"]["usd"] - by_hand) / by_hand
    kind = f"content {content}{'' if named else ', unnamed'}"
    print(
        f"{calls:>10,} calls, {size:7.0f} MB, {kind:22}: {wall:6.1f} s wall, {cpu:6.1f} s CPU, "
        f"{calls / wall:>8,.0f} calls/s, {size / wall:5.0f} MB/s, peak {peak:4.0f} MB, "
        f"bill off by {off:.5%}; peers: {peers(path)}",
        flush=True,
    )
    path.unlink()


def start_up(folder: Path) -> None:
    path, _ = write(folder, 1000, "short")
    walls = sorted(audited(path)[1] for _ in range(5))
    print(f"     1,000 calls with short content, the whole process: median {walls[2]:.2f} s of 5")


if __name__ == "__main__":
    most = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    print(GOALS)
    with tempfile.TemporaryDirectory() as made:
        start_up(Path(made))
        measure(Path(made), most, "none")
        if sys.argv[2:] == ["none"]:
            sys.exit()
        measure(Path(made), most, "short")
        measure(Path(made), most // 2, "long")
        measure(Path(made), most // 5, "short", named=False)
