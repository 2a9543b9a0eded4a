"""The `lora` recipe behind the Trainer port: small factors beside a language model's weights.

It knows the order of the work: turns, learning, doubt, files. Tokens come from the serving
runtime, weights learn behind the Learner port; neither torch nor llama.cpp is named here.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from stepdown.core.digest import digest, seed_from
from stepdown.core.task import Task
from stepdown.core.tier import Tier
from stepdown.errors import DataError
from stepdown.ports.learner import Learner, Turn
from stepdown.ports.prompter import Prompter
from stepdown.ports.trainer import Made, TrainingJob
from stepdown.train.dialogues import Turns, turns_of
from stepdown.train.head_trainer import FEWEST, check_examples
from stepdown.train.learning import Course, Learned, Schedule, learn
from stepdown.train.made_folder import CARD, folder_digest

SERVING = "serving.json"


class Serving(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How what was made is served: `serves` is its GGUF file, on `base` where it is an adapter.

    `prior` says whether the model's prior over the labels is taken off: no, because it was
    learned from the task's own rows.
    """

    base: str
    base_digest: str
    serves: str
    adapter: bool
    prior: bool = False


class Base(Struct, frozen=True, eq=False):
    """A language model to put adapters on; nothing is loaded before it is called for."""

    digest: str
    prompter: Callable[[], Prompter]
    learner: Callable[[int], Learner[Turn]]


class LoraTrainer(Struct, frozen=True, eq=False):
    """Adapters on the language model of a tier `lora:BASE`; minutes to hours.

    Args:
        base: opens the model that stands after the colon.
        ready: refuses where the packages of the extra are not installed.
        settings: plain settings of the learner, for the card and the key of the checkpoints.
        limit: longest prompt and answer, in tokens.
        doubts: whether a second course teaches doubt (Gatekeeper).
        adapter: whether the adapters are kept apart from the base.
    """

    base: Callable[[str], Base]
    ready: Callable[[], None]
    settings: Mapping[str, Any] = {}
    limit: int = 1024
    doubts: bool = False
    adapter: bool = False
    schedule: Schedule = Schedule()
    clock: Callable[[], float] = time.perf_counter
    name: str = "lora"

    def refusal(self, task: Task, tier: Tier) -> str | None:
        """Say why no adapters can be this tier of the task; None when they can."""
        if tier.adapter != "lora":
            return f'adapters are a tier with model = "lora:BASE", not {tier.model!r}'
        if task.kind in ("embed", "tool_call"):
            return f"adapters write labels, objects or text; a {task.kind} task wants neither"
        return None

    async def fit(self, job: TrainingJob) -> Made:
        """Train in a thread; goes on where an earlier run in the same folder was stopped.

        Raises:
            DataError: too few examples, one class only, or none that fits the context.
            ConfigError: the extra is not installed; names it.
            WeightsError: the base is missing, or of an architecture that cannot be trained.
        """
        return await asyncio.to_thread(self._fit, job)

    def _fit(self, job: TrainingJob) -> Made:
        began = self.clock()
        self.ready()
        self._check(job)
        base = self.base(job.tier.target)
        train, validation = self._turns(job, base)
        learner = base.learner(seed_from(job.data.digest))
        runs = self._courses(job, base, learner, train, validation, began)
        return self._made(job, base, learner, runs, (train, validation))

    def _check(self, job: TrainingJob) -> None:
        rows = [*job.data.train, *job.data.validation]
        if job.task.labels:
            check_examples(rows, job.task.name)
        elif len(rows) < FEWEST:
            raise DataError(
                f"{len(rows)} examples of {job.task.name!r} are too few to train on.",
                f"Give {FEWEST} at the least; a language model wants some hundreds.",
            )

    def _turns(self, job: TrainingJob, base: Base) -> tuple[Turns, Turns]:
        prompter = base.prompter()
        limit = min(self.limit, prompter.context_tokens)
        try:
            train, validation = (
                turns_of(job.task, job.tier.name, rows, prompter, limit)
                for rows in (job.data.train, job.data.validation)
            )
        finally:
            prompter.close()
        if not train.turns:
            raise DataError(
                f"None of the {train.too_long} examples of {job.task.name!r} fits into {limit} "
                f"tokens with its prompt.",
                "Shorten the tier's prompt, or raise `max_tokens`.",
            )
        return train, validation

    def _courses(
        self,
        job: TrainingJob,
        base: Base,
        learner: Learner[Turn],
        train: Turns,
        validation: Turns,
        began: float,
    ) -> list[Learned]:
        """Learn to answer, then, where it is asked for, to doubt."""
        data = digest(msgspec.to_builtins([train.turns, validation.turns]))
        key = digest([data, base.digest, dict(self.settings), msgspec.to_builtins(self.schedule)])
        found: list[Learned] = []
        for stage, doubt in (("learning", False), ("doubting", True))[: 1 + self.doubts]:
            left = None if job.seconds is None else job.seconds - (self.clock() - began)
            course = Course(
                folder=job.folder / stage,
                key=digest([key, stage]),
                seed=seed_from(job.data.digest),
                stage=stage,
                seconds=left if not self.doubts or doubt or left is None else left * 2 / 3,
                doubt=doubt,
                told=job.step,
                clock=self.clock,
            )
            found.append(learn(learner, train.turns, validation.turns, self.schedule, course))
        return found

    def _made(
        self,
        job: TrainingJob,
        base: Base,
        learner: Learner[Turn],
        runs: list[Learned],
        turns: tuple[Turns, Turns],
    ) -> Made:
        if job.step is not None:
            job.step("writing", 0, None)
        folder = job.folder / "made"
        shutil.rmtree(folder, ignore_errors=True)
        told = learner.export(folder)
        serving = Serving(
            base=job.tier.target,
            base_digest=base.digest,
            serves=str(told["serves"]),
            adapter=self.adapter,
        )
        (folder / SERVING).write_bytes(msgspec.json.format(msgspec.json.encode(serving)))
        made = folder_digest(folder)
        card = self._card(job, base, learner, runs, turns)
        (folder / CARD).write_bytes(msgspec.json.format(msgspec.json.encode(card)))
        return Made(path=folder, digest=made, card=card, notes=_notes(runs, turns))

    def _card(
        self,
        job: TrainingJob,
        base: Base,
        learner: Learner[Turn],
        runs: list[Learned],
        turns: tuple[Turns, Turns],
    ) -> dict[str, Any]:
        train, validation = turns
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
            "n_train": len(train.turns),
            "n_validation": len(validation.turns),
            "too_long": train.too_long + validation.too_long,
            "courses": [course_card(run) for run in runs],
        }


def course_card(run: Learned) -> dict[str, Any]:
    """Return what a card says of one course: steps, time, losses (nats an answer)."""
    return {
        "steps": run.step,
        "of_steps": run.steps,
        "ended": run.ended,
        "resumed": run.resumed,
        "step_seconds": run.step_seconds,
        "best_step": run.best_step,
        "best_validation_loss": run.best_loss,
        "looks": [msgspec.to_builtins(look) for look in run.looks],
    }


ENDS = {
    "early": "stopped early",
    "time": "stopped because its time was over",
    "done": "ran through",
}


def course_note(run: Learned) -> str:
    """Return one sentence on how a course went."""
    loss = "" if run.best_loss is None else f", validation loss {run.best_loss:.3f}"
    speed = "" if run.step_seconds is None else f", {run.step_seconds:.2f} s a step"
    return (
        f"{run.step} of {run.steps} steps, {ENDS[run.ended]}, best at step {run.best_step}"
        f"{loss}{speed}."
    )


def _notes(runs: list[Learned], turns: tuple[Turns, Turns]) -> tuple[str, ...]:
    said = [course_note(run) for run in runs]
    if not turns[1].turns:
        said.append("There were no validation rows, so nothing could stop it early.")
    left_out = turns[0].too_long + turns[1].too_long
    if left_out:
        said.append(f"{left_out} example(s) were too long for the context and left out.")
    return tuple(said)
