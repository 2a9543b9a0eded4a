"""The tiny project a month later: SYNTHETIC fresh rows made by rule, beside its lock.

`drifted` rows speak of one topic in the words of another, so that the expert keeps them wrongly;
the recorded frontier was made to know all of them from the start.
"""

from __future__ import annotations

import json
import random
from functools import cache
from pathlib import Path

from tiny_project import LABELS, SAYS, THINGS, stepdown, write_jsonl, write_project

FRESH = 120


def fresh_rows(*, drifted: bool = False) -> list[dict[str, str]]:
    """Return labelled rows that resemble none of the project's own."""
    found = []
    for number in range(FRESH):
        label, kind = LABELS[number % 4], "drifted" if drifted else "fresh"
        words = random.Random(f"{kind} {number}").sample(THINGS, 9)
        said = SAYS[LABELS[(number + 1) % 4]] if drifted else SAYS[label]
        text = f"{' '.join(words[:5])}: {said} ({' '.join(words[5:])} {kind} {number})."
        found.append({"id": f"{kind}{number}", "text": text, "topic": label})
    return found


@cache
def month_later(folder: Path) -> Path:
    """Train and certify the tiny project in a folder, with files of fresh rows beside it."""
    write_project(folder)
    with (folder / "frontier.jsonl").open("a", encoding="utf-8") as stream:
        for drifted in (False, True):
            rows = fresh_rows(drifted=drifted)
            write_jsonl(folder / ("drifted.jsonl" if drifted else "fresh.jsonl"), rows)
            said = [{"id": row["id"], "topic": row["topic"]} for row in rows]
            stream.writelines(json.dumps(one) + "\n" for one in said)
    assert stepdown("train", "-p", folder).exit_code == 0
    assert stepdown("certify", "-p", folder).exit_code == 0
    return folder
