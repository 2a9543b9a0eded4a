"""A tiny project for the tests: SYNTHETIC rows made by rule here, not collected from anybody.

160 short messages of four topics, an expert that ships with the package, and a recorded frontier
whose answers were made up too (three of them wrong). Nothing is measured on them; they only let
the whole loop run in a few seconds.
"""

from __future__ import annotations

import json
import random
import shutil
from functools import cache
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from stepdown.cli.main import app

LABELS = ("billing", "delivery", "account", "praise")
SAYS = {
    "billing": "the invoice shows a wrong amount and my card was charged",
    "delivery": "the parcel has not arrived and the courier tracking stands still",
    "account": "the password is refused and I cannot log in to my profile",
    "praise": "thank you, lovely service, the staff were friendly and quick",
}
NAMES = """
    kettle lamp sofa bicycle tent mirror piano carpet toaster ladder candle violin basket
    helmet hammer blanket drawer compass magnet lantern pillow anchor bucket saddle teapot
    shovel curtain ribbon wrench pencil goblet sandal trumpet marble barrel canvas feather
    needle puzzle whistle
"""
THINGS = NAMES.split()
ENDS = ("since Monday morning", "again this week", "for my sister in Leeds", "as I wrote in March")
SYSTEM = 'Choose one topic. Answer with JSON: {"topic": "..."}'
USER = "Message: {input}"

TOML = """\
[project]
name = "tiny"
baseline = "frontier"

[data]
path = "rows.jsonl"
shares = { train = 0.5, tune = 0.15, certify = 0.35 }

[tiers.expert]
model = "head:static-minilm-256"
price = { usd_per_hour = 0.085, source = "made up" }

[tiers.frontier]
model = "recorded:frontier.jsonl"
recording = "made-up answers for tests"
place = "vendor"
price = { input_usd_per_mtok = 4.0, output_usd_per_mtok = 20.0, source = "made up" }

[tasks.topic]
kind = "classify"
labels = ["billing", "delivery", "account", "praise"]
tiers = ["expert", "frontier"]
promise = { max_loss = 0.12, delta = 0.2 }
store = "full"

[tasks.topic.contract]
system = 'Choose one topic. Answer with JSON: {"topic": "..."}'
user = "Message: {input}"
output = '{"topic": "{answer}"}'
"""


def rows() -> list[dict[str, str]]:
    """Return the labelled rows."""
    found = []
    for number in range(160):
        label, thing = LABELS[number % 4], THINGS[number // 4]
        text = f"About the {thing}: {SAYS[label]} {ENDS[(number // 4) % 4]} ({thing} {number})."
        found.append({"id": f"r{number}", "text": text, "topic": label})
    return found


def recorded() -> list[dict[str, str]]:
    """Return the made-up answers of the frontier: every fiftieth is wrong."""
    return [
        {"id": row["id"], "topic": LABELS[(n + 1) % 4] if n % 50 == 49 else row["topic"]}
        for n, row in enumerate(rows())
    ]


def pool() -> list[dict[str, str]]:
    """Return messages that nobody has labelled, and (as `truth`) what a labeller would say."""
    found = []
    for number in range(150):
        label, words = LABELS[number % 4], random.Random(number).sample(THINGS, 9)
        text = f"{' '.join(words[:5])}: {SAYS[label]} ({' '.join(words[5:])} {number})."
        found.append({"id": f"p{number}", "text": text, "truth": label})
    return found


def write_pool(folder: Path, promise: str = "max_loss = 0.02") -> Path:
    """Write the tiny project with a pool, of whose rows the frontier gets every 13th wrong."""
    toml = TOML.replace("max_loss = 0.12", promise)
    write_project(folder, toml.replace('"rows.jsonl"', '"rows.jsonl"\npool = "pool.jsonl"', 1))
    write_jsonl(folder / "pool.jsonl", [{k: row[k] for k in ("id", "text")} for row in pool()])
    answers = [
        {"id": row["id"], "topic": LABELS[(n + 1) % 4] if n % 13 == 12 else row["truth"]}
        for n, row in enumerate(pool())
    ]
    write_jsonl(folder / "frontier.jsonl", recorded() + answers)
    return folder


def write_jsonl(path: Path, lines: list[dict[str, str]]) -> None:
    """Write rows as JSON Lines."""
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def write_project(folder: Path, toml: str = TOML) -> Path:
    """Write the tiny project into a folder; nothing is trained yet."""
    folder.mkdir(parents=True, exist_ok=True)
    write_jsonl(folder / "rows.jsonl", rows())
    write_jsonl(folder / "frontier.jsonl", recorded())
    (folder / "stepdown.toml").write_text(toml, encoding="utf-8")
    return folder


def stepdown(*args: object, stdin: str | None = None) -> Any:
    """Run a verb in this process; whatever happens, no traceback reaches the user."""
    done = CliRunner().invoke(app, [str(arg) for arg in args], input=stdin)
    assert "Traceback" not in done.output
    assert "Unexpected" not in done.output, done.output
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def envelope(done: Any) -> dict[str, Any]:
    """Return the one JSON document of a run with --json; fails when stdout holds anything else."""
    found = json.loads(done.stdout)
    assert set(found) == {"command", "version", "data", "warnings"}
    assert done.stdout.count("\n") == 1
    return dict(found)


@cache
def certified_once(folder: Path) -> Path:
    """Train and certify the tiny project in a folder, once a session."""
    write_project(folder)
    assert stepdown("train", "-p", folder).exit_code == 0
    certified = stepdown("certify", "-p", folder)
    assert certified.exit_code == 0, certified.output
    return folder


@cache
def pooled_once(folder: Path) -> Path:
    """Train the tiny project with a pool in a folder, once a session."""
    write_pool(folder)
    assert stepdown("train", "-p", folder).exit_code == 0
    return folder


def copy_of(source: Path, to: Path) -> Path:
    """Return a copy that a test may break."""
    return Path(shutil.copytree(source, to))
