"""Whether two values of one field are equal, as the task's own scorer has it."""

from __future__ import annotations

from collections.abc import Callable

from stepdown.core.request import encode_answer
from stepdown.core.task import Task
from stepdown.evals.dataset import Sample
from stepdown.evals.scorers import scorer_of


def same_field(task: Task) -> Callable[[str, object, object], bool]:
    """Return whether the scorer gives full marks, as a function of field, wanted and given value.

    It is asked about an object in which every other field is null on both sides.
    """
    scorer = scorer_of(task)

    def same(field: str, wanted: object, given: object) -> bool:
        blank: dict[str, object] = dict.fromkeys(task.fields)
        sample = Sample(id="", input="", reference={**blank, field: wanted})
        return scorer.score(task, sample, encode_answer({**blank, field: given})).value == 1.0

    return same
