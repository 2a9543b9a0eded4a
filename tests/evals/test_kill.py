"""A run that is killed, or whose disk is full, goes on where it stopped."""

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from slow_eval import AT_ONCE, N

SCRIPT = Path(__file__).with_name("slow_eval.py")


def start(folder: Path, pause_s: float, *limit: int) -> "subprocess.Popen[str]":
    command = [sys.executable, str(SCRIPT), str(folder), str(pause_s), *map(str, limit)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def asked(folder: Path) -> list[str]:
    path = folder / "asked.txt"
    return path.read_text().split() if path.exists() else []


def wait_for_calls(folder: Path, n: int) -> None:
    for _ in range(6000):
        if len(asked(folder)) >= n:
            return
        time.sleep(0.005)
    raise AssertionError("the eval did not start")


def kept(folder: Path) -> Path:
    return folder / "runs" / "intent" / "small.jsonl"


def kill(folder: Path, calls: int, after_s: float = 0.0) -> None:
    victim = start(folder, 0.02)
    wait_for_calls(folder, calls)
    time.sleep(after_s)
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    assert victim.returncode == -signal.SIGKILL


def check_finish(folder: Path, kills: int) -> None:
    """Finish the run: nothing that was kept is asked again, and all answers are there."""
    path = kept(folder)
    finished = path.read_bytes().count(b"\n") if path.exists() else 0
    out, errors = start(folder, 0.0).communicate()
    assert errors == ""
    n, called, reused, *digests = out.split()
    assert (int(n), int(called), int(reused)) == (N, N - finished, finished)
    times = Counter(asked(folder))
    assert len(times) == N
    assert sum(times.values()) - N <= kills * AT_ONCE
    assert start(folder, 0.0).communicate()[0].split() == [str(N), "0", str(N), *digests]


def test_after_kill_9_only_the_calls_in_flight_are_asked_again(tmp_path: Path) -> None:
    for n in (10, 30):
        kill(tmp_path, n)
    with kept(tmp_path).open("ab") as file:
        file.write(b'{"key":"sha256:torn')
    check_finish(tmp_path, 2)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_a_kill_at_any_moment_costs_the_calls_in_flight_at_most(tmp_path: Path, seed: int) -> None:
    draw, kills = random.Random(seed), 0
    while len(set(asked(tmp_path))) < N - 5 and kills < 6:
        kill(tmp_path, len(asked(tmp_path)) + draw.randint(1, 12), draw.uniform(0.0, 0.03))
        kills += 1
    check_finish(tmp_path, kills)


@pytest.mark.parametrize("limit", [6000, 9000])
def test_a_full_disk_stops_the_run_in_one_sentence_and_loses_nothing(
    tmp_path: Path, limit: int
) -> None:
    full = start(tmp_path, 0.0, limit)
    _, said = full.communicate()
    assert full.returncode == 1
    assert "could not be written" in said
    assert "make room and run the same command again" in said
    assert "Traceback" not in said
    path = kept(tmp_path)
    assert path.stat().st_size <= limit
    assert not list(tmp_path.rglob("head.json"))
    check_finish(tmp_path, 2)
