"""A ledger that is dead never stops an answer: locked, gone, garbage, full, and the spool too."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stepdown.adapters.storage.holding import Holding
from stepdown.adapters.storage.ledger import SpoolLedger
from stepdown.core.trace import Trace
from stepdown.errors import DataError

FULL = """
import resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, resource.RLIM_INFINITY))
sys.path.insert(0, {here!r})
from stepdown.adapters.storage.ledger import SpoolLedger
from test_dead_ledger import trace
from stepdown.errors import DataError
ledger = SpoolLedger(Path({folder!r}), fill_every_s=None)
failed = 0
for number in range(600):
    ledger.append(trace(str(number)))
    if number % 50 == 49:
        try:
            ledger.flush()
        except (DataError, OSError):
            failed += 1
print(failed, *ledger.unwritten().values())
"""


def trace(name: str) -> Trace:
    return Trace(
        id=name, task="t", at="2026-11-28T00:00:00.000+00:00", attempts=(), answered_by="x",
        reason="entry", latency_s=0.1,
    )  # fmt: skip


def ids(folder: Path) -> list[str]:
    with SpoolLedger(folder, fill_every_s=None) as ledger:
        return sorted(one.id for one in ledger.traces())


def test_while_another_program_locks_the_database_the_spool_holds_everything(
    tmp_path: Path,
) -> None:
    ledger = SpoolLedger(tmp_path, fill_every_s=None, wait_s=0.1)
    locker = sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None)
    locker.execute("BEGIN EXCLUSIVE")
    start = time.monotonic()
    for name in ("a", "b"):
        ledger.append(trace(name))
    assert time.monotonic() - start < 0.5
    locker.execute("ROLLBACK")
    locker.close()
    ledger.close()
    assert ids(tmp_path) == ["a", "b"]


@pytest.mark.parametrize("broken", ["gone", "garbage"])
def test_when_the_database_is_gone_or_garbage_answers_go_on_and_the_next_start_takes_the_spool(
    tmp_path: Path, broken: str
) -> None:
    ledger = SpoolLedger(tmp_path, fill_every_s=None)
    for path in tmp_path.glob("ledger.sqlite*"):
        path.unlink()
    if broken == "garbage":
        (tmp_path / "ledger.sqlite").write_bytes(b"not a database at all, sorry" * 200)
    ledger.append(trace("a"))
    with pytest.raises(DataError):
        ledger.flush()
    ledger.append(trace("b"))
    assert ledger.unwritten() == {"held": 0, "lost": 0}
    with pytest.raises(DataError):
        ledger.close()
    (tmp_path / "ledger.sqlite").unlink(missing_ok=True)
    assert ids(tmp_path) == ["a", "b"]


def test_a_disk_that_is_full_for_the_database_but_not_for_the_spool_loses_nothing(
    tmp_path: Path,
) -> None:
    script = FULL.format(folder=str(tmp_path), here=str(Path(__file__).parent))
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    failed, held, lost = map(int, done.stdout.split())
    assert failed > 0  # the database really was full
    assert (held, lost) == (0, 0)
    assert len(ids(tmp_path)) == 600


def test_a_spool_that_cannot_be_written_holds_the_lines_and_writes_them_later_in_order(
    tmp_path: Path,
) -> None:
    ledger = SpoolLedger(tmp_path, fill_every_s=None)
    shutil.rmtree(tmp_path / "spool")
    for name in ("a", "b", "c"):
        ledger.append(trace(name))
    assert ledger.unwritten() == {"held": 3, "lost": 0}
    (tmp_path / "spool").mkdir()
    ledger.append(trace("d"))
    assert ledger.unwritten()["held"] == 0
    ledger.close()
    assert ids(tmp_path) == ["a", "b", "c", "d"]


def test_what_memory_cannot_hold_is_lost_oldest_first_and_counted_and_said_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    written: list[bytes] = []
    broken = [True]

    def write(line: bytes) -> None:
        if broken[0]:
            raise OSError(28, "No space left on device")
        written.append(line)

    now = [0.0]
    holding = Holding(write, most=2, seconds=lambda: now[0])
    for line in (b"1", b"2", b"3"):
        holding.append(line)
    assert (holding.held, holding.lost) == (2, 1)
    assert len(caplog.records) == 1
    now[0] = 61.0
    holding.append(b"4")
    assert len(caplog.records) == 2
    broken[0] = False
    holding.retry()
    assert written == [b"3", b"4"]
    assert holding.held == 0


def test_a_folder_that_is_removed_while_it_serves_is_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "ledger"
    ledger = SpoolLedger(folder, fill_every_s=0.01)
    ledger.append(trace("a"))
    ledger.flush()
    shutil.rmtree(folder)
    ledger.append(trace("b"))
    until = time.monotonic() + 20
    while not (folder / "ledger.sqlite").exists() and time.monotonic() < until:
        time.sleep(0.01)
    ledger.append(trace("c"))
    ledger.close()
    assert ids(folder) == ["b", "c"]


def test_what_is_held_in_memory_counts_as_waiting_for_the_ledger(tmp_path: Path) -> None:
    folder = tmp_path / "ledger"
    ledger = SpoolLedger(folder, fill_every_s=None)
    shutil.rmtree(folder)
    ledger.append(trace("a"))
    assert ledger.unwritten()["held"] == 1
    assert ledger.lag_s() > 0
    ledger.close()
    assert ids(folder) == ["a"]
