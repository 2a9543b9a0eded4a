"""How far an answer falls short of the ceiling's: the task's own scorer, the ceiling as reference.

It does not know which of the two is right: that takes a label.
"""

from __future__ import annotations

from typing import Any

from stepdown.core.answers import answer_key
from stepdown.core.requesting import match_label, read_object
from stepdown.core.task import CHOICES, OBJECTS, TEXTS, Task
from stepdown.serve.audits import unequal

COMPARING = ("exact",)  # scorers of prose that compare with one text


def audit_loss(task: Task, text: str, kept: str, ceiling: str) -> float | None:
    """Return the loss of `kept` against `ceiling` in 0..1, None where no scorer compares the two.

    Prose that is judged or looked through for patterns is not compared: two good replies differ.
    """
    if answer_key(kept) == answer_key(ceiling):
        return 0.0
    reference = _reference(task, ceiling)
    if reference is None:
        return unequal(task, text, kept, ceiling)
    from stepdown.evals.dataset import Sample  # lazily: a gateway that audits nothing needs none
    from stepdown.evals.scorers.registry import scorer_of

    sample = Sample(id="audit", input=text, reference=reference)
    return 1.0 - scorer_of(task).score(task, sample, kept).value


def _reference(task: Task, ceiling: str) -> Any:
    """Return the ceiling's answer as a reference of the task, None where it cannot be one."""
    if task.kind in CHOICES:
        return match_label(task.labels, ceiling)
    if task.kind in OBJECTS and task.fields:
        return read_object(task.fields, ceiling)
    return ceiling if task.kind in TEXTS and task.scorer in COMPARING else None
