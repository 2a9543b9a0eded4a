"""A project with an extract task for the tests: SYNTHETIC notes made by rule here.

Two fields: an order number that is always in the text, and a town that is there in most; where two
towns are named, which is meant cannot be known. The recorded frontier's answers were made up too.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

from tiny_project import write_jsonl

TOML = """\
[project]
name = "notes"
baseline = "frontier"

[data]
path = "rows.jsonl"
shares = { train = 0.5, tune = 0.15, certify = 0.35 }

[tiers.reader]
model = "extractor:static-minilm-256"
price = { usd_per_hour = 0.085, source = "made up" }

[tiers.frontier]
model = "recorded:frontier.jsonl"
recording = "made-up answers for tests"
place = "vendor"
price = { input_usd_per_mtok = 4.0, output_usd_per_mtok = 20.0, source = "made up" }

[tasks.note]
kind = "extract"
fields = ["order", "town"]
reference = "note"
tiers = ["reader", "frontier"]
promise = { max_loss = 0.12, delta = 0.2 }
store = "full"
"""

OPENINGS = ("Hello,", "Hi there,", "Good morning,", "Dear team,", "Sorry to ask again,")
WANTS = ("where is", "please cancel", "I returned", "I love", "nobody shipped")
TOWNS = ("Leeds", "York", "Bath", "Truro", "Kendal", "Hexham", "Ely", "Ripon")
ENDS = ("Thank you", "Kind regards", "Bye", "Please hurry", "No rush")

WRONG = {"order": "AB-0000", "town": None}


def rows(n: int = 240) -> list[dict[str, object]]:
    """Return the labelled rows."""
    rng, found = random.Random(3), []
    for number in range(n):
        order, town = f"AB-{rng.randrange(1000, 9999)}", rng.choice(TOWNS)
        known, other = rng.random() < 0.7, rng.choice(TOWNS)
        unclear = known and rng.random() < 0.3
        words = " ".join(rng.sample([*"abcdefghijklmnopqrstuvw"], 6))
        place = f" to {town}" if known else ""
        if unclear:  # only a coin knows which of the two is meant
            pair = sorted([town, other])
            place = f" to {pair[0]} or {pair[1]}"
        text = f"{rng.choice(OPENINGS)} {rng.choice(WANTS)} {order}{place}, {words}. "
        found.append(
            {
                "id": f"n{number}",
                "text": text + rng.choice(ENDS),
                "note": {"order": order, "town": town if known else None},
            }
        )
    return found


def write_notes(folder: Path) -> Path:
    """Write the project; the frontier's every fiftieth answer is wrong."""
    folder.mkdir(parents=True, exist_ok=True)
    made = rows()
    write_jsonl(folder / "rows.jsonl", made)  # type: ignore[arg-type]
    answers = [
        {"id": row["id"], "note": WRONG if n % 50 == 49 else row["note"]}
        for n, row in enumerate(made)
    ]
    lines = "".join(json.dumps(line) + "\n" for line in answers)
    (folder / "frontier.jsonl").write_text(lines, encoding="utf-8")
    (folder / "stepdown.toml").write_text(TOML, encoding="utf-8")
    return folder
