"""The Trainer of the `extractor` recipe: a job in, one pinned file out."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from stepdown.core.digest import digest, digest_bytes
from stepdown.core.task import Task
from stepdown.core.tier import Tier
from stepdown.errors import DataError
from stepdown.ports.encoder import TokenEncoder
from stepdown.ports.trainer import Example, Made, TrainingJob
from stepdown.train.extractor.file import dump_extractor, save_extractor
from stepdown.train.extractor.fit import Asked, ExtractorRecipe, Labelled, SameField, fit_extractor
from stepdown.train.extractor.model import Extractor, FieldCard
from stepdown.train.extractor.shelf import Shelf

_MOSTLY = 0.9  # share of a field's values found as spans below which the report says so


class ExtractorTrainer:
    """Fit span models of a task's fields over an encoder.

    `encoder` opens an encoder by its name in the configuration; `same` gives, for a task, how its
    scorer compares two values of a field.
    """

    name = "extractor"

    def __init__(
        self,
        encoder: Callable[[str], TokenEncoder],
        same: Callable[[Task], SameField],
        recipe: ExtractorRecipe | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._encoder, self._same = encoder, same
        self._recipe = recipe or ExtractorRecipe()
        self._clock = clock

    def refusal(self, task: Task, tier: Tier) -> str | None:
        """Say why this recipe cannot make that tier of the task; None when it can."""
        if task.kind != "extract" or not task.fields:
            return f"it fills `fields` with spans; {task.name!r} is a {task.kind} task without"
        if tier.adapter != "extractor":
            return f'the tier {tier.name!r} has model = "{tier.model}", not "extractor:ENCODER"'
        return None

    async def fit(self, job: TrainingJob) -> Made:
        """Train.

        Raises:
            DataError: the examples cannot be learned from; says why.
        """
        return await asyncio.to_thread(self._fit, job)

    def _fit(self, job: TrainingJob) -> Made:
        until = None if job.seconds is None else self._clock() + job.seconds
        stopped: list[bool] = []

        def late() -> bool:
            over = until is not None and self._clock() > until
            stopped.extend([True] * over)
            return over

        extractor = fit_extractor(
            _labelled([*job.data.train, *job.data.validation]),
            self._encoder(job.tier.target),
            self._asked(job, late),
        )
        path = save_extractor(extractor, job.folder)
        notes = (*(["The time was up: fewer penalties were tried."] if stopped else []),)
        return Made(
            path=path,
            digest=digest_bytes(dump_extractor(extractor)),
            card=_card(extractor),
            notes=(*notes, *_notes(extractor)),
        )

    def _asked(self, job: TrainingJob, late: Callable[[], bool]) -> Asked:
        task = job.task
        return Asked(
            task=task.name,
            name=job.tier.name,
            fields=task.fields,
            same=self._same(task),
            basis=digest([task.scorer, task.scoring, task.compare]),
            recipe=self._recipe,
            created=job.date,
            late=late,
            tell=job.step,
            shelf=Shelf(job.folder),
        )


def _labelled(rows: Sequence[Example]) -> Labelled:
    """Return all examples, in the order of their ids: a recipe that cross-validates uses both."""
    examples = sorted(rows, key=lambda row: row.id)
    for example in examples:
        if not isinstance(example.answer, dict):
            raise DataError(
                f"The example {example.id!r} is answered by {example.answer!r}, no object.",
                "An extractor learns from objects of fields.",
            )
    return Labelled(
        [example.input for example in examples],
        [example.answer for example in examples],
        [example.group for example in examples],
    )


def _card(extractor: Extractor) -> dict[str, Any]:
    """Return the card as plain values."""
    plain: dict[str, Any] = msgspec.to_builtins(extractor.card)
    return plain


def _notes(extractor: Extractor) -> list[str]:
    """Say of each field how it did, and whether its values are spans of the texts."""
    return [_note(field) for field in extractor.card.fields]


def _note(field: FieldCard) -> str:
    share = f"{field.found} of its {field.present} values stand in the texts"
    if field.reach is not None and field.found >= _MOSTLY * field.present:
        return f"{field.name}: {_measured(field)}."
    if field.reach is None:
        return (
            f"{field.name}: not learned, {share}; it is answered by null with confidence "
            f"{field.unlearned:.2f}."
        )
    return f"{field.name}: {_measured(field)}; only {share}, the others count as wrong."


def _measured(field: FieldCard) -> str:
    area = "unknown" if field.auroc is None else f"{field.auroc:.2f}"
    return f"{field.accuracy:.2f} right in cross-validation (n {field.n}), AUROC {area}"
