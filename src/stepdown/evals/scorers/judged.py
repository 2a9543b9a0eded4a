"""The name under which a judge scores: its scores come in a second pass (`evals.judging`)."""

from __future__ import annotations

from msgspec import Struct

from stepdown.core.task import TEXTS, Task
from stepdown.evals.dataset import Sample
from stepdown.evals.scorers.scorer import Score, Scorer


class JudgeOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """Which judge scores: a name of `[judges.NAME]`; the only one where nothing is said."""

    judge: str = ""


def _unasked(_task: Task, _sample: Sample, _answer: str) -> Score:
    return Score(0.0, "unjudged", "a judge scores in a second pass, not answer by answer")


JUDGED = (
    Scorer(
        "judge",
        1,
        "a model grades by a rubric, or compares two answers in both orders (Zheng et al. 2023)",
        _unasked,
        kinds=TEXTS,
        options=JudgeOptions,
    ),
)
