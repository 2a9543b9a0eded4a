"""What each label or field means, in a few words: as today's instruction says, else as rows show.

The words of a label are those that its training rows use more often than the others do.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence

from stepdown.core.task import Task
from stepdown.ports.trainer import Example
from stepdown.train.prompting.templates import Said, shape_of

_WORD = re.compile(r"[^\W\d_]{3,}")
_MARKS = re.compile(r"\{[^{}]*\}")
_MOST_WORDS, _MOST_CHARACTERS = 5, 160
_LEAST = 3  # rows of a label that use a word, before it says something of the label


def describe(task: Task, tier: str, rows: Sequence[Example]) -> Said:
    """Return what a task says of itself: its instruction's first line, its labels or fields."""
    own = task.prompt_for(tier)
    instructions = [own.system or "" if own else "", task.contract.system or ""]
    names = task.labels or task.fields
    told = {name: _told(name, instructions) for name in names}
    shown = _shown(task, rows) if shape_of(task) == "choices" else _values(task, rows)
    return Said(
        first=_first(instructions, task),
        descriptions={name: told[name] or shown.get(name, "") for name in names},
    )


def _first(instructions: Sequence[str], task: Task) -> str:
    """Return the first paragraph of the first instruction that there is, without places."""
    for text in instructions:
        paragraph = _MARKS.sub("", text.strip().split("\n\n")[0]).strip()
        if paragraph:
            return paragraph
    return f"This is a {task.kind} task named {task.name}."


def _told(name: str, instructions: Sequence[str]) -> str:
    """Return what an instruction says of a name on a line of its own (`name: what it means`)."""
    line = re.compile(
        rf"^\W{{0,4}}{re.escape(name)}\W{{0,2}}\s*[:=–-]\s+(.+)$", re.MULTILINE | re.IGNORECASE
    )
    for text in instructions:
        found = line.search(text)
        if found:
            return _MARKS.sub("", found[1]).strip()[:_MOST_CHARACTERS]
    return ""


def _shown(task: Task, rows: Sequence[Example]) -> dict[str, str]:
    """Return the words that part each label's rows from the others, by smoothed log-odds."""
    counts = {label: Counter[str]() for label in task.labels}
    sizes = Counter(row.answer for row in rows if isinstance(row.answer, str))
    for row in rows:
        if row.answer in counts:
            counts[row.answer].update({word.casefold() for word in _WORD.findall(row.input)})
    total = sum(counts.values(), Counter[str]())
    return {
        label: _sentence(_telling(mine, total, sizes[label], sum(sizes.values())))
        for label, mine in counts.items()
    }


def _telling(mine: Mapping[str, int], total: Mapping[str, int], n: int, every: int) -> list[str]:
    def odds(word: str) -> float:
        inside = (mine[word] + 0.5) / (n + 1)
        outside = (total[word] - mine[word] + 0.5) / (every - n + 1)
        return math.log(inside / outside) * mine[word]

    known = sorted(word for word, count in mine.items() if count >= _LEAST)
    best = sorted((word for word in known if odds(word) > 0), key=odds, reverse=True)
    return best[:_MOST_WORDS]


def _sentence(words: Sequence[str]) -> str:
    return f"such texts often say {', '.join(words)}" if words else ""


def _values(task: Task, rows: Sequence[Example]) -> dict[str, str]:
    """Return two values of each field, the shortest of the rows that have one."""
    found: dict[str, str] = {}
    for name in task.fields:
        values = {str(row.answer[name]) for row in rows if _has(row, name)}
        short = sorted(values, key=lambda value: (len(value), value))[:2]
        if short:
            quoted = " or ".join(f'"{value}"' for value in short)
            found[name] = f"such as {quoted}"[:_MOST_CHARACTERS]
    return found


def _has(row: Example, name: str) -> bool:
    return isinstance(row.answer, dict) and bool(row.answer.get(name))
