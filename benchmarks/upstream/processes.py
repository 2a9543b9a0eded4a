"""CPU time and memory of a process with its children, from /proc (Linux)."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from upstream.built import wait_for

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 1e6


def family(pid: int) -> list[int]:
    """Return the process and everything that it started."""
    found = [pid]
    for each in found:
        for task in Path(f"/proc/{each}/task").glob("*/children"):
            found += [int(child) for child in task.read_text().split()]
    return found


def cpu_s(pid: int) -> float:
    """Return the CPU time so far, of the user and of the system."""
    return sum(_cpu_s(each) for each in family(pid))


def memory_mb(pid: int) -> float:
    """Return the resident memory of the largest, and what of the others is theirs alone.

    Pages that they share (the interpreter, libraries, what a fork left untouched) count once.
    """
    resident = {each: _pages(each) * PAGE_MB for each in family(pid)}
    largest = max(resident, key=lambda each: resident[each])
    return resident[largest] + sum(_private_mb(each) for each in resident if each != largest)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


def _pages(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1])


def _private_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) * 1024 / 1e6


@contextmanager
def served(
    command: Sequence[str | Path],
    port: int,
    *,
    environment: dict[str, str] | None = None,
    folder: Path | None = None,
    log: Path,
) -> Iterator[int]:
    """Run a server until the block ends; yield its process id when it listens."""
    said = {**os.environ, **(environment or {})}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdout=out,
            stderr=out,
            env=said,
            cwd=folder,
            start_new_session=True,
        )
    try:
        wait_for(port, process)
        yield process.pid
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with suppress(ProcessLookupError):  # what a server leaves behind, and one that stays
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
