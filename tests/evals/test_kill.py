"""A run that is killed goes on where it stopped."""

import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from slow_eval import N

SCRIPT = Path(__file__).with_name("slow_eval.py")
CONCURRENCY = 4


def start(folder: Path, pause_s: float) -> "subprocess.Popen[str]":
    command = [sys.executable, str(SCRIPT), str(folder), str(pause_s)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def asked(folder: Path) -> list[str]:
    path = folder / "asked.txt"
    return path.read_text().split() if path.exists() else []


def wait_for_calls(folder: Path, n: int) -> None:
    for _ in range(2000):
        if len(asked(folder)) >= n:
            return
        time.sleep(0.01)
    raise AssertionError("the eval did not start")


def test_after_kill_9_only_the_calls_in_flight_are_asked_again(tmp_path: Path) -> None:
    for n in (10, 30):
        victim = start(tmp_path, pause_s=0.02)
        wait_for_calls(tmp_path, n)
        victim.send_signal(signal.SIGKILL)
        victim.communicate()
        assert victim.returncode == -signal.SIGKILL
    (kept,) = (tmp_path / "runs").rglob("*.jsonl")
    finished = kept.read_bytes().count(b"\n")
    with kept.open("ab") as file:
        file.write(b'{"key":"sha256:torn')
    out, errors = start(tmp_path, pause_s=0.0).communicate()
    outcomes, called, reused, run_digest = out.split()
    assert errors == ""
    assert (int(outcomes), int(called), int(reused)) == (N, N - finished, finished)
    times = Counter(asked(tmp_path))
    assert len(times) == N
    assert sum(times.values()) - N <= 2 * CONCURRENCY
    assert start(tmp_path, pause_s=0.0).communicate()[0].split() == [
        str(N),
        "0",
        str(N),
        run_digest,
    ]
