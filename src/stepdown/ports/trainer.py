"""The Trainer port: examples of one task in, a pinned artifact file out.

A trainer is one recipe (`head`, `encoder`, `extractor`, `lora`, `prompt`). It reads only the
examples that it is given, writes one file (or one folder) and knows neither the registry nor the
harness that proves what it made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

from msgspec import Struct

from stepdown.core.task import Task
from stepdown.core.tier import Tier

Source = Literal["set", "feedback", "ceiling"]
Step = Callable[[str, int, int | None], None]


class Example(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One input with what should be answered: a label, an object of fields, or text.

    `group` holds what must stay on one side of every split. `source` says whose word the answer
    is: the labelled set, somebody's correction, or the ceiling's accepted answer. `escalated`
    tells that the small tier was not sure of it in traffic. `wrong` is what a small tier answered
    there when it was wrong.
    """

    id: str
    input: str
    answer: Any
    group: str
    source: Source = "set"
    escalated: bool = False
    wrong: Any = None


class TrainingSet(Struct, frozen=True, kw_only=True):
    """What a recipe may learn from: `train`, and `validation` for its own choices.

    Neither holds a row, or a near-duplicate of one, that an eval or a certificate will use.
    `digest` is the digest of both parts.
    """

    train: tuple[Example, ...]
    validation: tuple[Example, ...] = ()
    digest: str


class TrainingJob(Struct, frozen=True, kw_only=True):
    """One training: what for, from what, into which folder, within which time.

    `folder` is a scratch folder of the job: nothing in it counts before the caller takes it over,
    and a trainer may leave there what it needs to go on after an interruption. `seconds` is the
    time it may take, None for no limit: it then ends early with what it has. `step` is called with
    a stage, how much of it is done, and of how much (None: unknown). `date` is written on the card.
    """

    task: Task
    tier: Tier
    data: TrainingSet
    folder: Path
    seconds: float | None = None
    step: Step | None = None
    date: str | None = None


class Made(Struct, frozen=True, kw_only=True):
    """What a trainer made: one file or folder, its digest, and a card for people.

    `digest` covers everything that decides an answer. `card` holds plain values: settings, counts,
    losses. `notes` are sentences for the report (stopped early at ..., no gain over ...).
    """

    path: Path
    digest: str
    card: Mapping[str, Any]
    notes: tuple[str, ...] = ()


class Trainer(Protocol):
    """One recipe."""

    @property
    def name(self) -> str:
        """Name on the command line, such as `head`."""
        ...

    def refusal(self, task: Task, tier: Tier) -> str | None:
        """Say why this recipe cannot make that tier of the task; None when it can."""
        ...

    async def fit(self, job: TrainingJob) -> Made:
        """Train.

        Raises:
            DataError: the examples cannot be learned from; says why.
            ConfigError: a package of an extra is not installed; names the extra.
        """
        ...
