"""The eval harness beside inspect_ai and a bare asyncio loop: samples a second, CPU, memory.

All sides ask the same mock upstream on this machine, 64 calls at once, and write every answer to
disk. inspect_ai runs in an environment of its own (build/inspect), which is made when it is not
there. Targets: 1 ms of CPU a sample at most; 5 times the samples a second of inspect_ai and half
of the bare loop's; 10,000 samples scored again in under 5 s; memory flat in their number.

    bench_eval.py [ROWS]        10,000 rows unless told; ten times as many for the memory
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from evals.rows import write
from upstream.built import PLACE, mock

SIDES = Path(__file__).parent / "evals"
INSPECT = "inspect-ai==0.3.285"
AT_ONCE = "64"
INSPECT_ROWS = 1000  # it takes half a minute
ROUNDS = 3


def inspect_python() -> str:
    """Return the Python of inspect_ai's own environment."""
    folder = PLACE.parent / "inspect"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        venv.create(folder, with_pip=True, clear=True)
        install = [str(python), "-m", "pip", "install", "--quiet", INSPECT, "openai"]
        subprocess.run(install, check=True)
        (folder / "ready").touch()
    return str(python)


def side(python: str, script: str, *arguments: str) -> dict[str, Any]:
    """Run one side in a process of its own; return its figures."""
    command = [python, str(SIDES / script), *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{script}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def best(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the run with the least CPU: noise only adds."""
    return min(runs, key=lambda run: run["cpu_s"] / run["n"])


def show(name: str, run: dict[str, Any]) -> None:
    rate, cpu_us = run["n"] / run["wall_s"], 1e6 * run["cpu_s"] / run["n"]
    print(f"{name:<34} {rate:>9,.0f} {cpu_us:>9,.0f} {run['peak_mb']:>8.0f} {run['n']:>9,}")


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory(dir=PLACE.parent) as name, mock() as port:
        here = Path(name)
        rows, many = write(here / "rows.jsonl", n), write(here / "many.jsonl", 10 * n)
        few = write(here / "few.jsonl", INSPECT_ROWS)
        mine, p = sys.executable, str(port)
        ours, bare, aio = [], [], []
        for i in range(ROUNDS):  # by turns, so that a busy minute hits all of them
            answers = str(here / f"bare{i}.jsonl")
            bare.append(side(mine, "side_bare.py", p, str(rows), answers, AT_ONCE, "stepdown"))
            aio.append(side(mine, "side_bare.py", p, str(rows), answers, AT_ONCE, "aiohttp"))
            ours.append(side(mine, "side_ours.py", p, str(rows), str(here / f"{i}"), AT_ONCE))
        again = side(mine, "side_ours.py", p, str(rows), str(here / "0"), AT_ONCE, "again")
        large = side(mine, "side_ours.py", p, str(many), str(here / "many"), AT_ONCE)
        other = side(inspect_python(), "side_inspect.py", p, str(few), str(here / "logs"), AT_ONCE)
    report(best(ours), best(bare), best(aio), again, large, other)


def report(
    ours: dict[str, Any],
    bare: dict[str, Any],
    aio: dict[str, Any],
    again: dict[str, Any],
    large: dict[str, Any],
    other: dict[str, Any],
) -> None:
    print(f"{os.cpu_count()} cores; concurrency {AT_ONCE}; best of {ROUNDS} by CPU (inspect_ai: 1)")
    print(f"{'':<34} {'samples/s':>9} {'CPU µs':>9} {'peak MB':>8} {'n':>9}")
    show("stepdown eval", ours)
    show("stepdown eval, ten times the rows", large)
    show("scored again, no model called", again)
    show("bare loop, Stepdown's client", bare)
    show("bare loop, aiohttp", aio)
    show(f"inspect_ai ({INSPECT.partition('==')[2]})", other)
    rate = {k: v["n"] / v["wall_s"] for k, v in zip("obai", (ours, bare, aio, other), strict=True)}
    print(
        f"of the bare loops {rate['o'] / rate['b']:.2f} (its client), {rate['o'] / rate['a']:.2f} "
        f"(aiohttp); times inspect_ai {rate['o'] / rate['i']:.0f}; "
        f"{again['n']:,} scored again in {again['wall_s']:.2f} s"
    )


if __name__ == "__main__":
    main()
