"""The scorer of one label out of a closed set."""

from __future__ import annotations

from stepdown.core.requesting import match_label
from stepdown.core.task import CHOICES, Task
from stepdown.evals.dataset import Sample
from stepdown.evals.scorers.scorer import Score, Scorer


def label(task: Task, sample: Sample, answer: str) -> Score:
    """Score 1 for the right label; a label outside the set is `invalid_output`."""
    found = match_label(task.labels, answer)
    if found is None:
        return Score(0.0, "invalid_output", f"{answer[:80]!r} is not a label")
    right = found == sample.reference
    return Score(float(right), detail="" if right else f"{found} instead of {sample.reference}")


LABELS = (
    Scorer(
        "label",
        1,
        "accuracy: sklearn.metrics.accuracy_score on one label",
        label,
        binary=True,
        kinds=CHOICES,
    ),
)
