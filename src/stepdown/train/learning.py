"""The loop of recipes that learn in steps: order, rate, early stop, time, checkpoints.

It does not know what learns: a `Learner` does. An interrupted run goes on from its last
checkpoint when it is started again in the same folder with the same key, and ends with the same
weights as one that was not interrupted, as far as the learner's own arithmetic repeats itself.
"""

from __future__ import annotations

import math
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import msgspec
from msgspec import Struct

from stepdown.ports.learner import Learner

STATE = "state.json"
BEST = "best.safetensors"


class Measured(Protocol):
    """An item that knows how long it is."""

    @property
    def length(self) -> int:
        """Length in tokens or characters."""
        ...


Item = TypeVar("Item", bound=Measured)
Clock = Callable[[], float]
Told = Callable[[str, int, int | None], None]


class Schedule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long and in which steps is learned.

    Args:
        epochs: passes over the training rows at most.
        batch: rows in one step.
        checks: looks at the validation rows in one pass, evenly spread; each writes a checkpoint.
        patience: looks without a better loss after which it stops.
        warm_up: share of the steps in which the learning rate rises; it falls to 0 by a cosine.
        reserve: share of the time that is kept for the last look and for writing the files.
    """

    epochs: int = 4
    batch: int = 16
    checks: int = 2
    patience: int = 3
    warm_up: float = 0.1
    reserve: float = 0.1

    def __post_init__(self) -> None:
        """Refuse what cannot be followed."""
        for name in ("epochs", "batch", "checks", "patience"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, got {getattr(self, name)}")
        for name in ("warm_up", "reserve"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must lie in 0..1 without 1, got {getattr(self, name)}")


class Look(Struct, frozen=True):
    """What was seen at one look: mean losses since the look before, and on the validation rows."""

    step: int
    train_loss: float
    validation_loss: float | None


class Learned(Struct, frozen=True, kw_only=True):
    """How far learning came, and why it ended.

    `seconds` is the time spent in steps, over all runs of an interrupted training; `ended` is
    "done", "early" (no better validation loss) or "time".
    """

    key: str
    step: int = 0
    steps: int = 0
    looks: tuple[Look, ...] = ()
    best_step: int = 0
    best_loss: float | None = None
    waited: int = 0
    seconds: float = 0.0
    resumed: int = 0
    checkpoint: str = ""
    ended: str = ""

    @property
    def step_seconds(self) -> float | None:
        """Mean time of a step; None before the first."""
        return self.seconds / self.step if self.step else None


class Course(Struct, frozen=True, kw_only=True):
    """One course of learning: where its checkpoints lie, which data it is for, and its limits.

    `key` is a digest of everything that decides the result: data, settings, base. `stage` is the
    word that progress is told under. `doubt` is passed to the learner.
    """

    folder: Path
    key: str
    seed: int
    stage: str
    seconds: float | None = None
    doubt: bool = False
    told: Told | None = None
    clock: Clock = time.perf_counter


def learn(
    learner: Learner[Item],
    train: Sequence[Item],
    validation: Sequence[Item],
    schedule: Schedule,
    course: Course,
) -> Learned:
    """Let `learner` learn, and leave it with the weights of its best look."""
    course.folder.mkdir(parents=True, exist_ok=True)
    state = _found(learner, course, len(train), schedule)
    if not state.ended:
        state = _Loop(learner, train, validation, schedule, course, state).run()
    if (course.folder / BEST).is_file():
        learner.load(course.folder / BEST)
    return state


def batches(items: Sequence[Item], size: int, seed: int, epoch: int) -> list[list[Item]]:
    """Return one pass over the items in batches of similar length, in an order of its own.

    Shuffled, cut into stretches of 16 batches, sorted by length within a stretch: little padding
    is computed, and no two passes have the same batches.
    """
    chance = random.Random(f"{seed}:{epoch}")  # noqa: S311 an order, not a secret
    shuffled = list(items)
    chance.shuffle(shuffled)
    found: list[list[Item]] = []
    for start in range(0, len(shuffled), 16 * size):
        stretch = sorted(shuffled[start : start + 16 * size], key=lambda item: item.length)
        found += [stretch[at : at + size] for at in range(0, len(stretch), size)]
    chance.shuffle(found)
    return found


def rate_at(share: float, warm_up: float) -> float:
    """Return the share of the learning rate when `share` of the way is done, both 0..1.

    Up in a line, down by a cosine. Source: Loshchilov and Hutter (2017), "SGDR", equation (5),
    without restarts.
    """
    if share < warm_up:
        return share / warm_up
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (share - warm_up) / (1 - warm_up))))


def _found(learner: Learner[Any], course: Course, rows: int, schedule: Schedule) -> Learned:
    """Return where an earlier run of the same key stopped, its weights loaded; else the start."""
    steps = schedule.epochs * math.ceil(rows / schedule.batch)
    path = course.folder / STATE
    fresh = Learned(key=course.key, steps=steps)
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=Learned)
    except (OSError, msgspec.MsgspecError):
        return _cleared(course.folder, fresh)
    if kept.key != course.key:
        return _cleared(course.folder, fresh)
    learner.load(course.folder / kept.checkpoint)
    ended = "" if kept.ended == "time" else kept.ended
    return msgspec.structs.replace(kept, resumed=kept.resumed + 1, ended=ended)


def _cleared(folder: Path, fresh: Learned) -> Learned:
    """Remove what another training left: its best weights must not pass for ours."""
    for path in (folder / STATE, *folder.glob("*.safetensors")):
        path.unlink(missing_ok=True)
    return fresh


class _Loop(Generic[Item]):
    """The steps of one run."""

    def __init__(
        self,
        learner: Learner[Item],
        train: Sequence[Item],
        validation: Sequence[Item],
        schedule: Schedule,
        course: Course,
        state: Learned,
    ) -> None:
        self._learner, self._train, self._validation = learner, train, validation
        self._schedule, self._course, self._state = schedule, course, state
        self._per_epoch = math.ceil(len(train) / schedule.batch)
        self._every = max(1, math.ceil(self._per_epoch / schedule.checks))
        self._losses: list[float] = []
        self._unkept = False  # whether a step was taken since the last checkpoint
        self._began = course.clock()

    def run(self) -> Learned:
        """Take steps until the end, an early stop, or no time; keep what was learned if stopped."""
        try:
            for batch in self._coming():
                self._step(batch)
                if self._state.step % self._every == 0 or self._state.step == self._state.steps:
                    self._look()
                if ended := self._ended():
                    self._end(ended)
                    break
        finally:
            if self._unkept:
                self._checkpoint()
        return self._state

    def _coming(self) -> Iterator[list[Item]]:
        """Yield the batches that were not learned from yet."""
        while self._state.step < self._state.steps:
            epoch, at = divmod(self._state.step, self._per_epoch)
            order = batches(self._train, self._schedule.batch, self._course.seed, epoch)
            yield from order[at:]

    def _step(self, batch: Sequence[Item]) -> None:
        state, start = self._state, self._course.clock()
        rate = rate_at(self._way(), self._schedule.warm_up)
        self._losses.append(self._learner.train(batch, rate, doubt=self._course.doubt))
        self._unkept = True
        spent = self._course.clock() - start
        self._state = msgspec.structs.replace(
            state, step=state.step + 1, seconds=state.seconds + spent
        )
        if self._course.told:
            self._course.told(self._course.stage, self._state.step, state.steps)

    def _look(self) -> None:
        """Measure, keep the best weights, write a checkpoint."""
        loss = None
        if self._validation:
            loss = self._learner.loss(self._validation, doubt=self._course.doubt)
        state, mean = self._state, sum(self._losses) / len(self._losses)
        look, self._losses = Look(state.step, mean, loss), []
        better = loss is not None and (state.best_loss is None or loss < state.best_loss)
        self._state = msgspec.structs.replace(
            state,
            looks=(*state.looks, look),
            best_step=state.step if better or loss is None else state.best_step,
            best_loss=loss if better else state.best_loss,
            waited=0 if better or loss is None else state.waited + 1,
        )
        if better:
            _replacing(self._course.folder / BEST, lambda p: self._learner.save(p, whole=False))
        self._checkpoint()

    def _checkpoint(self) -> None:
        """Write the weights under a name of their own, then the state that names them."""
        before, folder = self._state.checkpoint, self._course.folder
        name = f"step-{self._state.step}.safetensors"
        _replacing(folder / name, lambda path: self._learner.save(path, whole=True))
        self._state = msgspec.structs.replace(self._state, checkpoint=name)
        self._write()
        self._unkept = False
        if before and before != name:
            (folder / before).unlink(missing_ok=True)

    def _ended(self) -> str:
        state = self._state
        if state.step >= state.steps:
            return "done"
        if state.waited >= self._schedule.patience:
            return "early"
        return "time" if self._out_of_time() else ""

    def _way(self) -> float:
        """Return how much of the way this step ends, 0..1: of the steps, or of the time if more.

        So the learning rate has fallen also where the time ends first.
        """
        done = (self._state.step + 1) / (self._state.steps + 1)
        limit = self._limit()
        return done if limit is None else max(done, min(1.0, self._used() / limit))

    def _out_of_time(self) -> bool:
        """Whether the next step may end after the time that learning has."""
        limit = self._limit()
        return limit is not None and self._used() + (self._state.step_seconds or 0.0) > limit

    def _used(self) -> float:
        return self._course.clock() - self._began

    def _limit(self) -> float | None:
        seconds = self._course.seconds
        return None if seconds is None else max(seconds * (1 - self._schedule.reserve), 1e-9)

    def _end(self, why: str) -> None:
        if not self._state.looks or self._state.looks[-1].step != self._state.step:
            self._look()
        self._state = msgspec.structs.replace(self._state, ended=why)
        self._write()

    def _write(self) -> None:
        data = msgspec.json.encode(self._state)
        _replacing(self._course.folder / STATE, lambda path: path.write_bytes(data))


def _replacing(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file beside `path`, then give it its name."""
    part = path.with_name(f".part-{os.getpid()}-{path.name}")
    try:
        write(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
