"""Certify banking77 with its human labels as ceiling, and replay the lock on its own test file.

Targets: at least 80% kept by the experts at max_loss 0.02; the realised loss with its interval.
Needs the data: STEPDOWN_DATA (default ../shared/data).
"""

import asyncio
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec

from stepdown.demo import banking


class Quiet:
    """A screen that shows nothing."""

    def section(self, title: str, command: str) -> None: ...
    def show(self, document: Any) -> None: ...
    def say(self, text: str) -> None: ...
    def watch(self, seen: Any) -> None: ...


def main() -> None:
    data = Path(os.environ.get("STEPDOWN_DATA", "../shared/data")) / "banking77"
    if not data.is_dir():
        sys.exit(f"no data: {data} (set STEPDOWN_DATA)")
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        replayed = asyncio.run(banking.run(Path(scratch) / "project", data, Quiet()))
        lock = (Path(scratch) / "project" / "stepdown.lock").read_text(encoding="utf-8")
    found = msgspec.to_builtins(replayed)
    if "--json" in sys.argv:
        print(json.dumps(found))
        return
    kept = 1 - replayed.kept.get("human", 0.0)
    loss = replayed.loss
    print(f"banking77, {time.perf_counter() - start:.0f} s")
    print(lock[lock.index("[tasks.intent.guarantee]") :].split("[tasks.intent.guarantee.data]")[0])
    print(f"kept by experts on the test file: {kept:.3f} (n={replayed.n}, target 0.80)")
    print(f"realised loss: {loss.value:.4f} [{loss.low:.4f}, {loss.high:.4f}], promised 0.02")


if __name__ == "__main__":
    main()
