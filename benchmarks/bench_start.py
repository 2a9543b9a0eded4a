"""Time from typing to help: `stepdown --help` and `import stepdown` (targets: 0.3 s and 0.1 s)."""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

RUNS = 7


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def measured(command: list[str]) -> dict[str, float]:
    seconds(command)  # compiled files and the page cache
    found = sorted(seconds(command) for _ in range(RUNS))
    return {"median_s": statistics.median(found), "least_s": found[0], "runs": RUNS}


def main() -> None:
    python = sys.executable
    stepdown = str(Path(python).with_name("stepdown"))
    bare = measured([python, "-c", "pass"])
    rows = {
        "python -c pass": bare,
        "import stepdown": measured([python, "-c", "import stepdown"]),
        "stepdown --help": measured([stepdown, "--help"]),
    }
    if "--json" in sys.argv:
        print(json.dumps(rows))
        return
    for name, row in rows.items():
        print(f"{name:<18} median {row['median_s']:.3f} s, least {row['least_s']:.3f} s, n={RUNS}")


if __name__ == "__main__":
    main()
