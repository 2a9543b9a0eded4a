"""Check the demo's accepted patterns and print what drafts of several kinds score by them.

Usage: python tools/check_demo_patterns.py

It checks that the messages are the chosen ones and prints the table of the project's README.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from stepdown.evals.patterns import Checklist, checklist

PROJECT = Path(__file__).parents[1] / "src/stepdown/demo/project"
SALT = "stepdown-draft-patterns-1:"
PER_SHOP = 30
POLITE = (
    "Thank you for your message. We are sorry for the trouble. Please send us your order number "
    "and we will look into it and get back to you as soon as possible."
)


def main() -> int:
    """Check and print."""
    messages, wanted = by_id("messages.jsonl"), by_id("patterns.jsonl")
    if list(wanted) != chosen(messages):
        print("The messages of patterns.jsonl are not the chosen ones.")
        return 1
    drafts = {key: row["draft"] for key, row in by_id("frontier.jsonl").items()}
    lists = {key: checklist(row["patterns"]) for key, row in wanted.items()}
    others = dict(zip(lists, [*list(lists)[37:], *list(lists)[:37]], strict=True))
    print(f"recorded drafts       {mean(lists, drafts):.3f}")
    print(f"message repeated      {mean(lists, {k: m['text'] for k, m in messages.items()}):.3f}")
    print(f"one polite sentence   {mean(lists, dict.fromkeys(lists, POLITE)):.3f}")
    print(f"draft of another one  {mean(lists, {k: drafts[o] for k, o in others.items()}):.3f}")
    return 0


def by_id(name: str) -> dict[str, dict[str, Any]]:
    """Read a JSONL file of the project."""
    lines = (PROJECT / name).read_text(encoding="utf-8").splitlines()
    return {row["id"]: row for row in map(json.loads, lines)}


def chosen(messages: dict[str, dict[str, Any]]) -> list[str]:
    """Return the ids that the seeded hash chooses, shop by shop in the order of the file."""
    shops: dict[str, list[str]] = {}
    for key, row in messages.items():
        shops.setdefault(row["shop"], []).append(key)
    return [key for keys in shops.values() for key in sorted(sorted(keys, key=_draw)[:PER_SHOP])]


def _draw(key: str) -> str:
    return hashlib.sha256(f"{SALT}{key}".encode()).hexdigest()


def score(wanted: Checklist, text: str) -> float:
    """Return the share of the points made, 0 when the text says what must not be said."""
    refused = wanted.refused_in(text)
    return 0.0 if refused else len(wanted.made_in(text)) / len(wanted.points)


def mean(lists: dict[str, Checklist], texts: dict[str, str]) -> float:
    """Return the mean score of one text a message."""
    return sum(score(wanted, texts[key]) for key, wanted in lists.items()) / len(lists)


if __name__ == "__main__":
    sys.exit(main())
