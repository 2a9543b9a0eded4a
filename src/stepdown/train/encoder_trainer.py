"""The `encoder` recipe behind the Trainer port: an encoder tuned to one task, with a head on it.

Minutes where a head takes seconds, for half a point of accuracy where there are thousands of
rows. Weights learn behind the Learner port; torch is not named here.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from stepdown.core.digest import digest, seed_from
from stepdown.core.task import Task
from stepdown.core.tier import Tier
from stepdown.ports.encoder import Encoder
from stepdown.ports.learner import Learner, Text
from stepdown.ports.trainer import Example, Made, TrainingJob
from stepdown.stats.calibrate import fit_temperature
from stepdown.train.fit import fit_head
from stepdown.train.head import Head, save_head
from stepdown.train.head_trainer import check_examples
from stepdown.train.learning import Course, Learned, Schedule, learn
from stepdown.train.lora_trainer import course_card, course_note
from stepdown.train.made_folder import CARD, folder_digest

HEAD = "head.safetensors"


class Tuned(Struct, frozen=True, eq=False):
    """An encoder that can be tuned; nothing is loaded before it is called for.

    `learner` takes the number of labels and a seed; `load` opens what a learner exported to a
    folder, under a name.
    """

    digest: str
    learner: Callable[[int, int], Learner[Text]]
    load: Callable[[Path, str], Encoder]


class EncoderTrainer(Struct, frozen=True, eq=False):
    """Fine-tuning of the transformer encoder under a tier `head:ENCODER`.

    Args:
        encoder: opens the encoder that stands after the colon.
        tunable: names of the encoders that can be tuned.
        ready: refuses where the packages of the extra are not installed.
        settings: plain settings of the learner, for the card and the key of the checkpoints.
    """

    encoder: Callable[[str], Tuned]
    tunable: Sequence[str]
    ready: Callable[[], None]
    settings: Mapping[str, Any] = {}
    schedule: Schedule = Schedule()
    clock: Callable[[], float] = time.perf_counter
    name: str = "encoder"

    def refusal(self, task: Task, tier: Tier) -> str | None:
        """Say why no tuned encoder can be this tier of the task; None when one can."""
        if tier.adapter != "head":
            return f'a tuned encoder is a tier with model = "head:ENCODER", not {tier.model!r}'
        if tier.target not in self.tunable:
            return f"{tier.target} cannot be tuned, only {', '.join(self.tunable)}"
        if not task.labels:
            return f"a head chooses among labels, and the {task.kind} task has none"
        return None

    async def fit(self, job: TrainingJob) -> Made:
        """Train in a thread; goes on where an earlier run in the same folder was stopped.

        Raises:
            DataError: too few examples or labels, or labels that differ in spelling only.
            ConfigError: the extra is not installed; names it.
            WeightsError: the encoder is missing or cannot be read.
        """
        return await asyncio.to_thread(self._fit, job)

    def _fit(self, job: TrainingJob) -> Made:
        began = self.clock()
        self.ready()
        rows = [*job.data.train, *job.data.validation]
        check_examples(rows, job.task.name)
        labels = tuple(sorted({row.answer for row in rows}))
        base = self.encoder(job.tier.target)
        seed = seed_from(job.data.digest)
        learner = base.learner(len(labels), seed)
        run = self._learn(job, base, learner, labels, seed, began)
        folder = job.folder / "made"
        shutil.rmtree(folder, ignore_errors=True)
        learner.export(folder)
        head = self._head(job, base, folder)
        save_head(head, folder).replace(folder / HEAD)
        card = self._card(job, base, learner, run, head)
        made = folder_digest(folder)
        (folder / CARD).write_bytes(msgspec.json.format(msgspec.json.encode(card)))
        return Made(path=folder, digest=made, card=card, notes=(course_note(run),))

    def _learn(
        self,
        job: TrainingJob,
        base: Tuned,
        learner: Learner[Text],
        labels: Sequence[str],
        seed: int,
        began: float,
    ) -> Learned:
        parts = [job.data.digest, base.digest, list(labels), dict(self.settings)]
        left = None if job.seconds is None else job.seconds - (self.clock() - began)
        course = Course(
            folder=job.folder / "learning",
            key=digest([*parts, msgspec.to_builtins(self.schedule)]),
            seed=seed,
            stage="learning",
            seconds=left,
            told=job.step,
            clock=self.clock,
        )
        train, validation = (
            [Text(row.input, labels.index(row.answer)) for row in part]
            for part in (job.data.train, job.data.validation)
        )
        return learn(learner, train, validation, self.schedule, course)

    def _head(self, job: TrainingJob, base: Tuned, folder: Path) -> Head:
        """Fit a head on the tuned encoder as it is served, and calibrate it.

        The encoder has learned the training rows, so cross-validation within them flatters it: the
        temperature is fitted on the validation rows, which it has not learned.
        """
        if job.step is not None:
            job.step("head", 0, None)
        rows, held = job.data.train, job.data.validation
        encoder = base.load(folder, f"{job.tier.target}-{job.task.name}-{job.tier.name}")
        head = fit_head(
            [row.input for row in rows],
            [row.answer for row in rows],
            encoder,
            task=job.task.name,
            name=job.tier.name,
            groups=[row.group for row in rows],
        )
        return calibrated(head, encoder, held) if held else head

    def _card(
        self, job: TrainingJob, base: Tuned, learner: Learner[Text], run: Learned, head: Head
    ) -> dict[str, Any]:
        return {
            "recipe": self.name,
            "task": job.task.name,
            "tier": job.tier.name,
            "base": job.tier.target,
            "base_digest": base.digest,
            "data_digest": job.data.digest,
            "date": job.date,
            "settings": dict(self.settings),
            "schedule": msgspec.to_builtins(self.schedule),
            **learner.about,
            "n_train": len(job.data.train),
            "n_validation": len(job.data.validation),
            "temperature": head.card.temperature,
            "penalty": head.card.penalty,
            "courses": [course_card(run)],
        }


def calibrated(head: Head, encoder: Encoder, rows: Sequence[Example]) -> Head:
    """Return the head with its temperature fitted on rows that nothing was fitted on."""
    known = [row for row in rows if row.answer in head.labels]
    if not known:
        return head
    texts = [row.input for row in known]
    lexical = head.lexicon.embed(texts) if head.lexicon else None
    logits = head.logits(encoder.embed(texts), lexical)
    coded = np.array([head.labels.index(row.answer) for row in known], dtype=np.intp)
    temperature = fit_temperature(logits, coded).temperature
    card = msgspec.structs.replace(head.card, temperature=temperature)
    return Head(card, head.linear, head.familiarity, head.lexicon)
