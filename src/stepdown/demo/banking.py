"""The intent step on banking77, a public set with 77 intents, with its human labels as ceiling.

Nobody knows what a human label costs, so the ceiling has no price: costs of it are unknown and
counted, and policies are ordered by the share that the ceiling must answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from stepdown.adapters.tables.rows import read_rows
from stepdown.core.outcome import Outcome
from stepdown.demo.loop import Screen
from stepdown.errors import DataError
from stepdown.evals.dataset import Sample
from stepdown.wiring import certified, certifying, evaluating, reporting, training, training_report
from stepdown.wiring.replay_report import document as replay_document
from stepdown.wiring.replaying import Replay, replay_lock
from stepdown.wiring.workspace import Workspace

TOML = """\
# banking77: 77 intents of a bank's customers. Made by `stepdown demo --data banking77`.
[project]
name = "banking77"
baseline = "human"

# Rows of the set's own train file; its test file is kept for the realised loss.
[data]
path = "train.jsonl"
shares = {{ train = 0.7, tune = 0.1, certify = 0.2 }}

[tiers.expert]
model = "head:static-minilm-256"
price = {{ usd_per_hour = 0.085, source = "assumed: a cloud machine with two virtual cores" }}

[tiers.encoder]
model = "head:all-minilm-l6-v2"
price = {{ usd_per_hour = 0.085, source = "assumed: a cloud machine with two virtual cores" }}

# The set's human labels. They are the reference, so this ceiling scores 1 by construction.
[tiers.human]
model = "recorded:train.jsonl"
recording = "human labels of the set"
place = "self_hosted"

[tasks.intent]
kind = "classify"
tiers = ["expert", "encoder", "human"]
promise = {{ max_loss = 0.02, delta = 0.1 }}
labels = {labels}
"""


def prepare(folder: Path, data: Path) -> None:
    """Write a project for the set in `data` into a folder; an existing one is kept.

    Raises:
        DataError: the folder with the data lacks train.csv or test.csv, or they are others.
    """
    for name in ("train.csv", "test.csv"):
        if not (data / name).is_file():
            raise DataError(
                f"There is no {name} in {data}.",
                "Give banking77's folder with --path (PolyAI task-specific-datasets, CC BY 4.0).",
            )
    if (folder / "stepdown.toml").exists():
        return
    rows = _rows(data / "train.csv", "train")
    labels = sorted({row["intent"] for row in rows})
    folder.mkdir(parents=True, exist_ok=True)
    lines = b"\n".join(msgspec.json.encode(row) for row in rows) + b"\n"
    (folder / "train.jsonl").write_bytes(lines)
    listed = msgspec.json.encode(labels).decode()
    (folder / "stepdown.toml").write_text(TOML.format(labels=listed), encoding="utf-8")


def _rows(path: Path, name: str) -> list[dict[str, str]]:
    found = list(read_rows(path))
    if not found or not {"text", "category"} <= set(found[0][1]):
        raise DataError(f"{path} is not a file of banking77.", "Its columns are text and category.")
    return [
        {"id": f"{name}-{number}", "text": row["text"], "intent": row["category"]}
        for number, (_, row) in enumerate(found)
    ]


async def run(folder: Path, data: Path, screen: Screen) -> Replay:
    """Train, evaluate and certify on the train file, then replay the lock on the test file."""
    prepare(folder, data)
    workspace = Workspace.open(folder)
    task = workspace.project.task("intent")
    try:
        screen.section("train: two experts on 77 intents", "stepdown train")
        tiers = training.trainable(workspace, task)
        made = [await training.train(workspace, task, tier, screen.watch) for tier in tiers]
        screen.show(training_report.document(made))
        screen.section("certify: human labels as the ceiling", "stepdown certify")
        gathered = await certifying.gather(workspace, task, screen.watch)
        found = certifying.certify(workspace, task, gathered)
        lock = certifying.write(workspace, [found])
        document = certified.document(workspace, [found])
        reporting.save_certified(workspace.project, document)
        screen.show(msgspec.structs.replace(document, sections=document.sections[:1]))
        screen.section("replay: the lock on the set's own test file", "stepdown replay intent")
        rows = await outcomes_on(workspace, data / "test.csv", screen)
        replayed = replay_lock(lock, "intent", rows)
        screen.show(replay_document(replayed))
    finally:
        await workspace.aclose()
    return replayed


async def outcomes_on(workspace: Workspace, path: Path, screen: Screen) -> Sequence[Outcome]:
    """Return the experts' outcomes on a file of the set, with the human labels as the ceiling."""
    task = workspace.project.task("intent")
    samples = tuple(
        Sample(id=row["id"], input=row["text"], reference=row["intent"])
        for row in _rows(path, path.stem)
    )
    found: list[Outcome] = []
    for tier in ("expert", "encoder"):
        result = await evaluating.run_one(workspace, task, tier, samples, screen.watch)
        found += result.outcomes
    return [*found, *(Outcome(query_id=s.id, tier="human", score=1.0) for s in samples)]
