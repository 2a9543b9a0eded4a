"""kill -9 loses no answered request and keeps none twice."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

from stepdown.adapters.storage import open_ledger

SERVER = """
import os, sys
from stepdown.adapters.storage import SpoolLedger
from stepdown.core.trace import Attempt, Trace

ledger = SpoolLedger(sys.argv[1], fill_every_s=0.002)
number = 0
while True:
    name = f"{sys.argv[2]}-{number}"
    attempt = Attempt(id=f"{name}/1", trace_id=name, number=1, tier="expert", started_at="now")
    ledger.append(Trace(id=name, task="intent", at="now", attempts=(attempt,) * 1,
                        answered_by="expert", reason="accepted", latency_s=0.0, input="x" * 300))
    os.write(1, f"{name}\\n".encode())  # the answer leaves
    number += 1
"""


def killed_mid_load(directory: Path, name: str, at_least: int, then_s: float) -> list[str]:
    """Run a writer, kill it some time after so many answers, return the answers it gave."""
    command = [sys.executable, "-c", SERVER, str(directory), name]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        answered = [process.stdout.readline() for _ in range(at_least)]
        time.sleep(then_s)
        process.send_signal(signal.SIGKILL)
        answered += process.stdout.readlines()
    assert process.returncode == -signal.SIGKILL
    return [line.decode().strip() for line in answered if line.endswith(b"\n")]


def test_a_writer_killed_mid_load_loses_no_answered_request_and_doubles_none(
    tmp_path: Path,
) -> None:
    answered: list[str] = []
    rounds = 6
    for number in range(rounds):  # each starts on what the one before left behind
        answered += killed_mid_load(tmp_path, f"p{number}", 300, 0.001 * number)
    with open_ledger(tmp_path) as ledger:
        kept = [trace.id for trace in ledger.traces()]
        counts = ledger.counts()
    assert len(answered) >= rounds * 300
    assert len(kept) == len(set(kept))
    assert set(answered) <= set(kept)
    assert len(kept) <= len(answered) + rounds  # written, but killed before its answer left
    assert counts["traces"] == counts["attempts"] == len(kept)
    assert counts["waiting"] == 0


def test_two_writers_killed_together_lose_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SERVER, str(tmp_path)]
    pair = [subprocess.Popen([*command, name], stdout=subprocess.PIPE) for name in "ab"]
    answered: list[str] = []
    for process in pair:
        assert process.stdout is not None
        answered += [process.stdout.readline().decode().strip() for _ in range(200)]
    for process in pair:
        process.kill()
    for process in pair:
        with process:
            rest = process.stdout.readlines() if process.stdout else []
        answered += [line.decode().strip() for line in rest if line.endswith(b"\n")]
    with open_ledger(tmp_path) as ledger:
        kept = [trace.id for trace in ledger.traces()]
    assert set(answered) <= set(kept)
    assert len(kept) == len(set(kept))
