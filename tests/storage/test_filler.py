"""The process that fills the database beside those that answer: killed, orphaned, replaced."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from stepdown.adapters.storage import SpoolLedger, open_ledger
from stepdown.adapters.storage.filler import Filler
from stepdown.adapters.storage.filler_process import FillerProcess
from stepdown.core.trace import Attempt, Trace

WRITER = """
import os, sys, time
from stepdown.adapters.storage import SpoolLedger
from stepdown.core.trace import Trace

ledger = SpoolLedger(sys.argv[1], fill_every_s=0.01, filled="beside")
number = 0
while True:
    name = f"w-{number}"
    ledger.append(Trace(id=name, task="t", at="now", attempts=(), answered_by=None, reason="r",
                        latency_s=0.0))
    filler = ledger._filler.pid or 0
    os.write(1, f"{name} {filler}\\n".encode())
    number += 1
    time.sleep(0.0005)
"""


def trace(name: str) -> Trace:
    attempt = Attempt(id=f"{name}/1", trace_id=name, number=1, tier="t", started_at="now")
    return Trace(
        id=name, task="t", at="now", attempts=(attempt,), answered_by="t", reason="", latency_s=0.0
    )


def in_database(directory: Path) -> list[str]:
    """Return what SQLite holds; nothing is flushed by looking."""
    with closing(sqlite3.connect(directory / "ledger.sqlite")) as db:
        return [name for (name,) in db.execute("SELECT id FROM traces ORDER BY id")]


def wait_until(true: Callable[[], bool], said: str) -> None:
    until = time.monotonic() + 20
    while not true():
        assert time.monotonic() < until, said
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_a_process_beside_fills_what_this_one_hands_over(tmp_path: Path) -> None:
    names = [f"a{number}" for number in range(50)]
    with SpoolLedger(tmp_path, fill_every_s=0.02, filled="beside") as ledger:
        for name in names:
            ledger.append(trace(name))
        wait_until(lambda: in_database(tmp_path) == sorted(names), "the filler did not fill")
        pid = ledger._filler.pid
        assert pid is not None
        assert is_alive(pid)
    assert not is_alive(pid)


def test_a_filler_that_is_killed_is_replaced_and_nothing_is_lost_or_doubled(
    tmp_path: Path,
) -> None:
    killed: set[int] = set()
    names = []
    with SpoolLedger(tmp_path, fill_every_s=0.01, filled="beside") as ledger:
        for number in range(900):
            names.append(f"k{number:04d}")
            ledger.append(trace(names[-1]))
            time.sleep(0.002)
            pid = ledger._filler.pid
            if len(killed) < 2 and pid is not None and pid not in killed and number % 100 == 99:
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
    with open_ledger(tmp_path) as ledger:
        assert ledger.counts()["waiting"] == 0
        assert ledger.counts()["broken"] == 0
    assert killed
    assert in_database(tmp_path) == names


def test_a_killed_writer_leaves_its_filler_to_move_the_rest_and_to_end(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(400)]
        process.kill()
        said += [line for line in process.stdout if line.endswith(b"\n")]
    answered = {line.split()[0].decode() for line in said}
    filler = int(said[-1].split()[1])
    assert filler
    wait_until(lambda: not is_alive(filler), "the filler outlived its parent")
    kept = in_database(tmp_path)
    assert answered <= set(kept)
    assert len(kept) == len(set(kept)) <= len(answered) + 1


def test_signals_to_stop_do_not_end_the_filler_before_its_parent(tmp_path: Path) -> None:
    with SpoolLedger(tmp_path, fill_every_s=None) as ledger:
        process = FillerProcess(tmp_path, 0.02)
        assert process.works()
        ledger.append(trace("a"))
        ledger._writer.rotate()
        wait_until(lambda: in_database(tmp_path) == ["a"], "the filler did not start")
        pid = process.pid
        assert pid is not None
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGINT)
        ledger.append(trace("b"))
        ledger._writer.rotate()
        wait_until(lambda: in_database(tmp_path) == ["a", "b"], "the filler has stopped")
        assert process.pid == pid
        process.stop(10)


def test_a_filler_that_cannot_live_is_not_started_again_at_once(tmp_path: Path) -> None:
    now = [100.0]
    process = FillerProcess(tmp_path, 0.02, seconds=lambda: now[0])
    process._command = [sys.executable, "-c", "raise SystemExit(3)"]
    assert process.works()
    wait_until(lambda: not process.works(), "it lives")
    first = process.pid
    assert not process.works()
    now[0] += 0.6
    assert process.works()
    assert process.pid != first
    process.stop(10)


def test_where_another_process_fills_this_one_only_hands_over(tmp_path: Path) -> None:
    with SpoolLedger(tmp_path, fill_every_s=None, filled="elsewhere") as ledger:
        ledger.append(trace("a"))
        ledger._turn()
        assert in_database(tmp_path) == []
        Filler(tmp_path).turn()
        assert in_database(tmp_path) == ["a"]


def test_where_the_other_process_does_not_fill_this_one_does_after_a_while(tmp_path: Path) -> None:
    with SpoolLedger(tmp_path, fill_every_s=None, filled="elsewhere") as ledger:
        ledger.append(trace("a"))
        ledger._turn()
        long_ago = time.time() - 60
        for path in (tmp_path / "spool").glob("*.jsonl"):
            os.utime(path, (long_ago, long_ago))
        ledger._turn()
        assert in_database(tmp_path) == ["a"]


def test_a_database_that_was_moved_away_gets_no_more_rows(tmp_path: Path) -> None:
    filler = Filler(tmp_path)
    with SpoolLedger(tmp_path, fill_every_s=None) as ledger:
        ledger.append(trace("a"))
        ledger._writer.rotate()
        assert filler.turn() == 1
    (tmp_path / "old").mkdir()
    for path in tmp_path.glob("ledger.sqlite*"):
        path.rename(tmp_path / "old" / path.name)
    with SpoolLedger(tmp_path, fill_every_s=None) as ledger:
        ledger.append(trace("b"))
        ledger._writer.rotate()
        assert filler.turn() == 1
        filler.close()
        assert in_database(tmp_path) == ["b"]
