"""Search and certify 100,000 rows x 4 tiers x 3 signals from a Parquet file (goal: 20 s, 1 GB).

The table is synthetic (`outcome_rows.py`). Time and peak memory are those of one fresh process that
reads the file, splits it by near-duplicate prompts, searches, certifies and writes the lock. Peers
in the same run: the same candidates through the scalar replay, on a sample of rows and candidates,
extrapolated; and the table read row by row, an object each.
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

LIMIT_S, LIMIT_MB = 20.0, 1000.0
ROWS = 100_000
SAMPLE_ROWS, SAMPLE_POLICIES = 200, 40


def peak_mb() -> float:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def certified(path: Path) -> dict[str, Any]:
    """Do what `stepdown certify --outcomes` does, in this process."""
    start = time.perf_counter()
    from datetime import date

    from stepdown.adapters.tables.outcome_panel import read_panel
    from stepdown.wiring import standalone

    table = read_panel(path)
    read_s = time.perf_counter() - start
    asked = standalone.Asked(path=path, lock=path.with_suffix(".lock"))
    done = standalone.certify_table(asked, table, date(2026, 11, 22)).certified
    guarantee = done.locked.guarantee
    return {
        "wall_s": time.perf_counter() - start,
        "cpu_s": time.process_time(),
        "read_s": read_s,
        "peak_mb": peak_mb(),
        "policies": len(done.found),
        "tested": len(done.along) - 1,
        "n_tune": guarantee.n_tune,
        "n_certify": guarantee.n_certify,
        "state": guarantee.state,
    }


def by_row(path: Path) -> dict[str, Any]:
    """Read the table with an object a row."""
    from stepdown.adapters.tables.outcome_files import read_outcomes
    from stepdown.core.replay_array import panel

    start = time.perf_counter()
    n = panel(read_outcomes(path)).n
    return {"wall_s": time.perf_counter() - start, "peak_mb": peak_mb(), "n": n}


def scalar(path: Path) -> dict[str, Any]:
    """Replay a sample of candidates over a sample of rows, one query at a time."""
    from itertools import islice

    import numpy as np

    from outcome_rows import TIERS
    from stepdown.adapters.tables.outcome_files import iter_outcomes
    from stepdown.certify.calibration import choose, with_confidence
    from stepdown.certify.search import candidates
    from stepdown.core.outcome import by_query
    from stepdown.core.policy import confidence_of
    from stepdown.core.replay import replay
    from stepdown.core.replay_array import panel, replay_array

    outcomes = list(islice(iter_outcomes(path), SAMPLE_ROWS * len(TIERS)))
    table = panel(outcomes)
    maps = {tier: found for tier in TIERS[:-1] if (found := choose(table, tier)) is not None}
    table = with_confidence(table, maps)
    policies = list(candidates(table, TIERS))
    step = max(1, len(policies) // SAMPLE_POLICIES)
    free = [
        {confidence_of(t): float(table.signals[confidence_of(t)][i]) for t in maps}
        for i in range(table.n)
    ]
    rows = list(by_query(outcomes).values())
    start = time.perf_counter()
    replayed = 0
    for policy in policies[::step]:
        said = [replay(policy, row, known).cost_usd for row, known in zip(rows, free, strict=True)]
        found = replay_array(policy, table).cost_usd
        assert np.allclose(np.array(said, dtype=float), found)
        replayed += len(said)
    return {"s_per_replay": (time.perf_counter() - start) / replayed}


PARTS = {"certified": certified, "by_row": by_row, "scalar": scalar}


def in_a_process(part: str, path: Path) -> dict[str, Any]:
    command = [sys.executable, __file__, part, str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> None:
    if len(sys.argv) > 2:
        print(json.dumps(PARTS[sys.argv[1]](Path(sys.argv[2]))))
        return
    from outcome_rows import write_synthetic

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "synthetic.parquet"
        write_synthetic(path, ROWS)
        print(f"{ROWS} rows x 4 tiers x 3 signals, {path.stat().st_size / 1e6:.0f} MB of Parquet")
        found = {part: in_a_process(part, path) for part in PARTS}
    if "--json" in sys.argv:
        print(json.dumps(found))
        return
    report(found)


def report(found: dict[str, dict[str, Any]]) -> None:
    ours, rows, one = found["certified"], found["by_row"], found["scalar"]
    print(
        f"read, split, search, certify: {ours['wall_s']:.1f} s wall "
        f"({ours['wall_s'] / LIMIT_S:.0%} of {LIMIT_S:.0f} s), {ours['cpu_s']:.1f} s of processor"
    )
    print(f"peak memory: {ours['peak_mb']:.0f} MB ({ours['peak_mb'] / LIMIT_MB:.0%} of 1 GB)")
    print(
        f"{ours['policies']} policies searched on {ours['n_tune']} rows, {ours['tested']} on the "
        f"path, {ours['n_certify']} certify rows: {ours['state']}"
    )
    print(
        f"reading: {ours['read_s']:.1f} s; peer, an object a row: {rows['wall_s']:.1f} s and "
        f"{rows['peak_mb']:.0f} MB"
    )
    replays = ours["policies"] * ours["n_tune"] + ours["tested"] * ours["n_certify"]
    print(
        f"peer, scalar replay of the same policies: {one['s_per_replay'] * 1e6:.0f} us a query, "
        f"extrapolated {one['s_per_replay'] * replays / 60:.0f} minutes"
    )


if __name__ == "__main__":
    main()
