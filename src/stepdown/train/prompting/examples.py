"""Examples for a prompt, chosen from the training rows so that they cover them.

For each kind of answer the most typical row first, then the ones farthest from those chosen, by the
vectors of an encoder. It calls no model and sees no score.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np

from stepdown.core.contract import INPUT, LABELS, TOOLS, Prompt
from stepdown.core.request import encode_answer
from stepdown.core.task import Task
from stepdown.ports.encoder import Encoder
from stepdown.ports.trainer import Example

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

MOST_WORDS = 60
"""A longer row is no example: it would take the room of several."""
_POOL = 400  # rows of one kind that are looked at


def covering(rows: Sequence[Example], task: Task, encoder: Encoder, per_kind: int) -> list[Example]:
    """Return up to `per_kind` examples of each kind of answer, interleaved.

    Source: the farthest-point traversal of Gonzalez (1985), "Clustering to minimize the maximum
    intercluster distance", begun at the row nearest to the centre.
    """
    kinds: defaultdict[str, list[Example]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row.id):
        if _fits(row):
            kinds[kind_of(row, task)].append(row)
    chosen = [_spread(kinds[kind][:_POOL], encoder, per_kind) for kind in _ordered(kinds, task)]
    return [row for row in chain(*zip_longest(*chosen)) if row is not None]


def _ordered(kinds: dict[str, list[Example]], task: Task) -> list[str]:
    """Return the labels in their order; of other answers the commonest kinds first."""
    if task.labels:
        return [label for label in task.labels if label in kinds]
    return sorted(kinds, key=lambda kind: (-len(kinds[kind]), kind))[:6]


def kind_of(row: Example, task: Task) -> str:
    """Return the label of a row; of an object, which fields it has."""
    if isinstance(row.answer, dict):
        return "+".join(name for name in task.fields if row.answer.get(name)) or "nothing"
    return row.answer if task.labels else "text"


def _fits(row: Example) -> bool:
    """Tell whether a row can stand in a prompt: short, and without a place that would be filled."""
    text = f"{row.input}{answer_text(row)}"
    return len(row.input.split()) <= MOST_WORDS and not any(
        place in text for place in (INPUT, LABELS, TOOLS)
    )


def _spread(rows: Sequence[Example], encoder: Encoder, n: int) -> list[Example]:
    if not rows:
        return []
    vectors = encoder.embed([row.input for row in rows])
    first = int(np.argmax(vectors @ vectors.mean(axis=0)))
    chosen, apart = [first], _distances(vectors, first)
    while len(chosen) < min(n, len(rows)):
        apart[chosen] = -1.0  # rows with equal vectors are all as near
        chosen.append(int(apart.argmax()))
        apart = np.minimum(apart, _distances(vectors, chosen[-1]))
    return [rows[at] for at in chosen]


def _distances(vectors: NDArray[float32], at: int) -> NDArray[float32]:
    found: NDArray[float32] = ((vectors - vectors[at]) ** 2).sum(axis=1)
    return found


def answer_text(row: Example) -> str:
    """Return an answer as a model should write it."""
    return row.answer if isinstance(row.answer, str) else encode_answer(_plain(row.answer))


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, dict) else value


def with_examples(prompt: Prompt, examples: Sequence[Example]) -> Prompt:
    """Return a prompt with examples at the end of its instruction, framed like the input itself.

    They stand in the part that does not change from call to call, so that a runtime that keeps the
    beginning of a prompt reads them once.
    """
    if not examples:
        return prompt
    shown = "\n\n".join(_framed(prompt, row) for row in examples)
    system = f"{prompt.system}\n\n{shown}" if prompt.system else shown
    return Prompt(user=prompt.user, system=system, max_tokens=prompt.max_tokens)


def _framed(prompt: Prompt, row: Example) -> str:
    asked = prompt.user.replace(LABELS, "").replace(INPUT, row.input)
    gap = "\n" if asked.endswith((INPUT, row.input)) else " "
    return f"{asked}{gap}{answer_text(row)}"
