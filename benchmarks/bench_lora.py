"""Measure adapters on the embedded language model against the same model's zero-shot.

Usage: python benchmarks/bench_lora.py [--epochs N] [--batch N] [--minutes M] [--gatekeeper SHARE]
                                       [--export merged|adapter] [--folder DIR] [--json]

Needs the extra `lora`. The task is the department (9 labels) of the bundled support desk's
messages: 60% to learn from, 30% to test on, near-duplicates on one side. The zero-shot tier has
the prompt of the demo project; the trained one a short prompt. Answers go through the embedded
runtime as when they are served. Nothing was chosen on the test rows: settings are the defaults but
for the numbers of steps, which fit a coffee break. `--folder` keeps checkpoints, so that a run that
was stopped goes on.
"""

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec

import stepdown.demo
from stepdown.adapters.trainers.settings import LoraSettings
from stepdown.core.report import Claim
from stepdown.ports.trainer import Made, TrainingJob
from stepdown.train.learning import Schedule
from stepdown.wiring.evaluating import run_one
from stepdown.wiring.language_experts import lora_trainer, open_lora
from stepdown.wiring.proving import Proof, prove
from stepdown.wiring.training_set import gather
from stepdown.wiring.workspace import Workspace

PROJECT = """
[project]
name = "desk"
baseline = "small"

[data]
path = "messages.jsonl"
id = "id"
input = "text"
shares = { train = 0.6, tune = 0.3, certify = 0.1 }

[tiers.small]
model = "llama:smollm2-135m-instruct"

[tiers.narrow]
model = "lora:smollm2-135m-instruct"

[tasks.department]
kind = "classify"
tiers = ["narrow", "small"]
labels = [
    "orders", "logistics", "returns", "technical", "billing", "accounts", "sales",
    "customer_relations", "none",
]

[tasks.department.prompts.small]
system = "Which department of an online shop must act on the customer's message? \
Departments: {labels}."
user = "Message: {input}\\nDepartment:"

[tasks.department.prompts.narrow]
system = "Department?"
user = "{input}"
"""


def main() -> int:
    """Train, prove, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--gatekeeper", type=float)
    parser.add_argument("--export", choices=("merged", "adapter"), default="merged")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    folder = chosen.folder or Path(tempfile.mkdtemp(prefix="stepdown-lora-"))
    try:
        found = asyncio.run(measure(folder, chosen))
    finally:
        if chosen.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    print(msgspec.json.encode(found).decode() if chosen.json else table(found))
    return 0


async def measure(folder: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    """Return what was made and what it is worth."""
    workspace = project_in(folder)
    task, tier = workspace.tasks()[0], workspace.tiers["narrow"]
    gathered = gather(workspace, task)
    settings = LoraSettings(export=chosen.export, gatekeeper=chosen.gatekeeper)
    schedule = Schedule(epochs=chosen.epochs, batch=chosen.batch)
    job = TrainingJob(
        task=task,
        tier=tier,
        data=gathered.data,
        folder=folder / "job",
        seconds=None if chosen.minutes is None else 60 * chosen.minutes,
        step=tell,
    )
    began, cpu = time.perf_counter(), time.process_time()
    made = await lora_trainer(workspace.environment, settings, schedule).fit(job)
    spent, cpu = time.perf_counter() - began, time.process_time() - cpu
    await run_one(workspace, task, "small", workspace.part(task, "tune"))  # zero-shot, then kept
    model = open_lora(workspace.models, task, tier, made.path, made.digest)
    proof, _ = await prove(workspace, task, tier, model)
    await model.aclose()
    await workspace.aclose()
    return shown(made, proof, spent, cpu)


def project_in(folder: Path) -> Workspace:
    """Write the project, its rows from the demo that ships with the package."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = Path(stepdown.demo.__file__).parent / "project" / "messages.jsonl"
    shutil.copy(rows, folder / "messages.jsonl")
    (folder / "stepdown.toml").write_text(PROJECT, encoding="utf-8")
    return Workspace.open(folder)


def tell(stage: str, done: int, total: int | None) -> None:
    """Show progress on stderr."""
    print(f"\r{stage} {done}/{total or '?'}  ", end="", file=sys.stderr, flush=True)


def shown(made: Made, proof: Proof, spent: float, cpu: float) -> dict[str, Any]:
    """Return the figures."""
    zero = next(one for one in proof.beside if one.name == "small")
    return {
        "train": {"seconds": spent, "cpu_seconds": cpu, "load": os.getloadavg()[1]},
        "card": made.card,
        "score": plain(proof.score),
        "zero_shot": plain(zero.score),
        "difference": plain(zero.difference),
        "auroc": proof.auroc,
        "ece": proof.ece,
        "p50_s": proof.p50_s.value,
        "p50_s_zero_shot": zero.p50_s.value,
    }


def plain(claim: Claim) -> dict[str, Any]:
    """Return a claim as plain values."""
    return {"value": claim.value, "low": claim.low, "high": claim.high, "n": claim.n}


def table(found: dict[str, Any]) -> str:
    """Return the figures as lines."""
    lines = [f"{name:>12}: {_said(found[name])}" for name in ("score", "zero_shot", "difference")]
    lines += [
        f"{'course':>12}: {course['steps']} steps of {course['step_seconds']:.2f} s, "
        f"validation loss {course['best_validation_loss']:.3f}, {course['ended']}"
        for course in found["card"]["courses"]
    ]
    told = found["train"]
    lines.append(
        f"{'training':>12}: {told['seconds']:.0f} s, {told['cpu_seconds']:.0f} s of "
        f"processor time, load {told['load']:.1f}"
    )
    lines.append(f"{'confidence':>12}: AUROC {found['auroc']:.3f}, ECE {found['ece']:.3f}")
    lines.append(
        f"{'one answer':>12}: p50 {found['p50_s']:.3f} s; zero-shot "
        f"{found['p50_s_zero_shot']:.3f} s"
    )
    return "\n".join(lines)


def _said(claim: dict[str, Any]) -> str:
    return f"{claim['value']:.3f} ({claim['low']:.3f} to {claim['high']:.3f}, n {claim['n']})"


if __name__ == "__main__":
    raise SystemExit(main())
