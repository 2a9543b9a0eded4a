"""Record the embedded language model's answers to the demo's rows by a real run (`make outcomes`).

    python tools/record_small.py FOLDER [--rows held-out|all] [--write-only]

FOLDER is a scratch copy of the demo project; an interrupted run goes on where it stopped. The
result, `small.recorded.jsonl.gz`, is written into the package with digests, runtime and date.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import shutil
import time
from importlib.metadata import version
from pathlib import Path

from stepdown.demo import recording
from stepdown.wiring.evaluating import PARTS, run_one, samples_in
from stepdown.wiring.workspace import Workspace

PROJECT = Path(__file__).parents[1] / "src/stepdown/demo/project"
# Kept prompts were measured to move a label's probability by up to 0.13 (96 pairs, November 2026).
TOLERANCE = 0.15


async def record(workspace: Workspace, parts: tuple[str, ...]) -> None:
    for part in parts:
        for task in workspace.tasks():
            if recording.TIER in task.tiers:
                samples = samples_in(workspace, task, (part,))
                start = time.perf_counter()
                result = await run_one(workspace, task, recording.TIER, samples)
                spent = time.perf_counter() - start
                print(f"{task.name} {part}: {result.called} called, {spent:.0f} s", flush=True)


def write(workspace: Workspace) -> None:
    said = recording.gather(workspace)
    task = next(task for task in workspace.tasks() if recording.TIER in task.tiers)
    about = recording.About(
        recorded=True,
        date=workspace.environment.today.isoformat(),
        tier_digest=workspace.model(task, recording.TIER).digest,
        model=workspace.tiers[recording.TIER].target,
        runtime=f"xllamacpp {version('xllamacpp')}",
        machine=f"{platform.machine()}, one thread of a shared machine: its latencies are too long",
        n=len(said),
        tolerance=TOLERANCE,
    )
    recording.write(PROJECT / recording.FILE, about, said)
    print(f"{PROJECT / recording.FILE}: {len(said)} answers")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", choices=("held-out", "all"), default="held-out")
    parser.add_argument("--write-only", action="store_true")
    said = parser.parse_args()
    if not (said.folder / "stepdown.toml").exists():
        shutil.copytree(PROJECT, said.folder, dirs_exist_ok=True)
    workspace = Workspace.open(said.folder)
    if not said.write_only:
        asyncio.run(record(workspace, PARTS[said.rows]))
    write(workspace)
    asyncio.run(workspace.aclose())


if __name__ == "__main__":
    main()
