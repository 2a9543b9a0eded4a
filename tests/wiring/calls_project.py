"""A tiny project of two tasks for the tests: calls of functions, and orders under a JSON Schema.

SYNTHETIC rows made by rule here, and made-up recordings: `small` misses some, `frontier` few.
Nothing is measured on them.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from tiny_project import THINGS

TOOLS: list[dict[str, Any]] = [
    {
        "name": "order_status",
        "description": "Say where an order is.",
        "parameters": {
            "type": "object",
            "properties": {
                "order": {"type": "integer"},
                "detail": {"type": "boolean", "default": False},
            },
            "required": ["order"],
        },
    },
    {
        "name": "refund",
        "parameters": {
            "type": "object",
            "properties": {"order": {"type": "integer"}, "amount": {"type": "number"}},
            "required": ["order", "amount"],
        },
    },
]
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "order": {"type": "integer"},
        "total": {"type": ["string", "number"]},
        "items": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["order", "total", "items"],
    "additionalProperties": False,
}
TOML = """\
[project]
name = "calls"
baseline = "frontier"

[data]
path = "rows.jsonl"
shares = { train = 0.1, tune = 0.4, certify = 0.5 }

[tiers.small]
model = "recorded:small.jsonl"
recording = "made-up answers for tests"
place = "self_hosted"
price = { input_usd_per_mtok = 0.1, output_usd_per_mtok = 0.1, source = "made up" }

[tiers.frontier]
model = "recorded:frontier.jsonl"
recording = "made-up answers for tests"
place = "vendor"
price = { input_usd_per_mtok = 4.0, output_usd_per_mtok = 20.0, source = "made up" }

[tasks.calls]
kind = "tool_call"
tools = "tools.json"
tiers = ["small", "frontier"]
promise = { max_loss = 0.15, delta = 0.2 }

[tasks.order]
kind = "convert"
schema = "order.schema.json"
tiers = ["small", "frontier"]
compare = { total = "money", items = "set" }
promise = { max_loss = 0.15, delta = 0.2 }
"""


def rows(n: int = 240) -> list[dict[str, Any]]:
    """Return the labelled rows; every third asks for nothing that a function does."""
    return [_row(number) for number in range(n)]


def _row(number: int) -> dict[str, Any]:
    words = random.Random(number).sample(THINGS, 9)
    thing, other, text = words[0], words[1], f"{' '.join(words)}: order {1000 + number}"
    calls: list[dict[str, Any]] = [
        [{"name": "order_status", "arguments": {"order": 1000 + number}}],
        [{"name": "refund", "accepted": {"order": [1000 + number], "amount": [number, 0.5]}}],
        [],
    ][number % 3]  # type: ignore[assignment]
    order = {"order": 1000 + number, "total": f"€ {number},50", "items": [thing, other]}
    return {"id": f"r{number}", "text": text, "calls": calls, "order": order}


def answers(miss: int) -> list[dict[str, Any]]:
    """Return a recording that gets every `miss`-th row wrong."""
    return [_answer(row, number % miss == miss - 1) for number, row in enumerate(rows())]


def _answer(row: dict[str, Any], wrong: bool) -> dict[str, Any]:
    said = [_call(call) for call in row["calls"]]
    order = {**row["order"], "items": row["order"]["items"][::-1]}
    order["total"] = float(order["total"].removeprefix("€ ").replace(",", "."))
    if wrong:
        said, order = [{"name": "refund", "arguments": {"order": 1, "amount": 1}}], {"order": 1}
    return {"id": row["id"], "calls": said, "order": order}


def _call(call: dict[str, Any]) -> dict[str, Any]:
    given = call.get("arguments") or {k: v[0] for k, v in call["accepted"].items()}
    return {"name": call["name"], "arguments": given}


def write_calls_project(folder: Path, toml: str = TOML) -> Path:
    """Write the project into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "stepdown.toml").write_text(toml, encoding="utf-8")
    (folder / "tools.json").write_text(json.dumps(TOOLS), encoding="utf-8")
    (folder / "order.schema.json").write_text(json.dumps(SCHEMA), encoding="utf-8")
    for name, lines in (
        ("rows", rows()),
        ("small", answers(37)),
        ("frontier", answers(61)),
    ):
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    return folder
