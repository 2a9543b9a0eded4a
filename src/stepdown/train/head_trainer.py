"""The `head` recipe behind the Trainer port: examples in, one safetensors file out.

It is handed a way to open encoders, and knows neither the registry nor where examples come from.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

from msgspec import Struct

from stepdown.core.task import Task
from stepdown.core.tier import Tier
from stepdown.errors import DataError
from stepdown.ports.encoder import Encoder
from stepdown.ports.trainer import Example, Made, TrainingJob
from stepdown.train.fit import HeadRecipe, fit_head
from stepdown.train.head import Head, save_head

# Below it cross-validation compares penalties on a row or two, which says nothing.
FEWEST = 8
# Trying n-grams and the last fit take about twice what the rest of a fit took before them.
STILL_TO_COME = 3
HURRIED = "The time was too short to try n-grams beside the embedding; with more it may gain."


class _Late:
    """Whether what a fit took so far leaves too little for the rest; `said` that it was so."""

    def __init__(self, seconds: float | None, clock: Callable[[], float]) -> None:
        self.seconds, self.clock, self.begun, self.said = seconds, clock, clock(), False

    def __call__(self) -> bool:
        """Say whether to hurry."""
        took = self.clock() - self.begun
        self.said = self.seconds is not None and took * STILL_TO_COME > self.seconds
        return self.said


class HeadTrainer(Struct, frozen=True):
    """A linear head over a frozen encoder; seconds to a minute, no other package needed."""

    encoder: Callable[[str], Encoder]
    settings: HeadRecipe = HeadRecipe()
    clock: Callable[[], float] = time.monotonic
    name: str = "head"

    def refusal(self, task: Task, tier: Tier) -> str | None:
        """Say why no head can be this tier of the task; None when one can."""
        if tier.adapter != "head":
            return f'a head is a tier with model = "head:ENCODER", not {tier.model!r}'
        if not task.labels:
            return f"a head chooses among labels, and the {task.kind} task has none"
        return None

    async def fit(self, job: TrainingJob) -> Made:
        """Train on all examples: the penalty is chosen by cross-validation within them.

        Raises:
            DataError: too few examples or labels, or labels that differ in spelling only.
        """
        rows = sorted([*job.data.train, *job.data.validation], key=lambda row: row.id)
        check_examples(rows, job.task.name)
        late = _Late(job.seconds, self.clock)
        head = fit_head(
            [row.input for row in rows],
            [row.answer for row in rows],
            self.encoder(job.tier.target),
            task=job.task.name,
            name=job.tier.name,
            groups=[row.group for row in rows],
            recipe=self.settings,
            step=job.step,
            hurry=late,
        )
        path = save_head(head, job.folder)
        encoder = self.encoder(job.tier.target)
        hurried = (HURRIED,) if late.said else ()
        notes = (*_notes(head, rows), *hurried, *_cut(encoder, [row.input for row in rows]))
        return Made(path=path, digest=head.digest, card=_card(head), notes=notes)


def check_examples(rows: Sequence[Example], task: str) -> None:
    """Refuse examples that no classifier can learn from.

    Raises:
        DataError: says what is missing, or which labels differ in case or white space only.
    """
    odd = next((row for row in rows if not isinstance(row.answer, str)), None)
    if odd is not None:
        raise DataError(f"The answer of {odd.id!r} is no label: {odd.answer!r}.")
    counts = Counter(row.answer for row in rows)
    _refuse_twins(counts, task)
    if len(counts) < 2:
        said = f"all {len(rows)} say {next(iter(counts))!r}" if counts else "there are none"
        raise DataError(
            f"The examples of {task!r} hold one class only: {said}.",
            "A classifier needs examples of two labels or more: add rows of the others.",
        )
    if len(rows) < FEWEST:
        raise DataError(
            f"{len(rows)} examples of {task!r} are too few to train on.",
            f"Give {FEWEST} at the least; 8 to 16 of each label is where an expert begins to pay.",
        )


def _refuse_twins(counts: Counter[str], task: str) -> None:
    """Two labels that a reader cannot tell apart are one label, and only a person knows which."""
    spelled: defaultdict[str, list[str]] = defaultdict(list)
    for label in sorted(counts):
        spelled[" ".join(label.split()).casefold()].append(label)
    twins = [names for names in spelled.values() if len(names) > 1]
    if twins:
        pairs = "; ".join(" and ".join(f"{n!r} ({counts[n]})" for n in names) for names in twins)
        raise DataError(
            f"Labels of {task!r} differ only in case or white space: {pairs}.",
            "Write each label one way, in stepdown.toml and in the rows.",
        )


def _card(head: Head) -> dict[str, object]:
    card = head.card
    return {
        "encoder": card.encoder_name,
        "encoder_digest": card.encoder_digest,
        "penalty": card.penalty,
        "temperature": card.temperature,
        "folds": card.folds,
        "lexical_dim": card.lexical_dim,
        "out_of_fold_accuracy": card.out_of_fold_accuracy,
        "out_of_fold_log_loss": card.out_of_fold_log_loss,
    }


def _notes(head: Head, rows: Sequence[Example]) -> tuple[str, ...]:
    alone = sorted(
        label for label, n in zip(head.labels, head.card.n_by_label, strict=True) if n == 1
    )
    said = (
        (f"{len(alone)} label(s) have one example only: {', '.join(alone[:5])}.",) if alone else ()
    )
    found = head.card.out_of_fold_accuracy
    return (
        f"{len(rows)} examples; {found:.3f} right in {head.card.folds}-fold cross-validation.",
        *said,
    )


def _cut(encoder: Encoder, texts: Sequence[str]) -> tuple[str, ...]:
    """Say how many texts an encoder reads only the beginning of; it knows its own limit."""
    cut: Callable[[Sequence[str]], int] | None = getattr(encoder, "reads_in_part", None)
    n = 0 if cut is None else cut(texts)
    said = f"{n} of {len(texts)} texts are longer than {encoder.name} reads: they are read in part."
    return (said,) if n else ()
