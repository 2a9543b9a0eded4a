"""What a scorer is: a named, versioned way from an answer to a score 0..1."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from stepdown.core.digest import digest
from stepdown.core.task import Task, TaskKind
from stepdown.errors import ConfigError
from stepdown.evals.dataset import Sample

DIGITS = 12  # hexadecimal digits of a digest in a scorer's id


class Score(Struct, frozen=True, omit_defaults=True):
    """A value 0..1; `failure` is the kind of failure or None; `detail` says what was missed."""

    value: float
    failure: str | None = None
    detail: str = ""

    def __post_init__(self) -> None:
        """Refuse a value outside 0..1."""
        if not 0 <= self.value <= 1:
            raise ValueError(f"a score must lie in 0..1, got {self.value}")


@dataclass(frozen=True, slots=True)
class Scorer:
    """A named way of scoring. `binary` declares that only 0 and 1 can occur, whatever the data.

    A change of what any answer scores is a new `version`. `source` says whose definition it is.
    `kinds` are the kinds of task that it is for, all of them where it says nothing. `options` is
    the Struct of what it can be told in `scorer = { name = ..., ... }` (`options_of` reads it);
    `needs` is the module of an extra that it loads; `compares` says that the task's `compare` and
    schema decide scores too.
    """

    name: str
    version: int | str
    source: str
    score: Callable[[Task, Sample, str], Score]
    binary: bool = False
    kinds: tuple[TaskKind, ...] = ()
    options: type[Struct] | None = None
    compares: bool = False
    settings: str = ""
    needs: str = ""

    @property
    def id(self) -> str:
        """Name, version, and the digest of what it was told: as run records hold it."""
        told = f"+{self.settings}" if self.settings else ""
        return f"{self.name}/{self.version}{told}"


Options = TypeVar("Options", bound=Struct)


def options_of(kind: type[Options], task: Task) -> Options:
    """Return what a task tells its scorer."""
    return msgspec.convert(task.scoring, kind)


def settings_of(scorer: Scorer, task: Task) -> str:
    """Return the short digest of all that a task tells the scorer, nothing when that is nothing."""
    compared: tuple[Any, ...] = (task.compare, task.json_schema) if scorer.compares else ()
    if task.judge is not None:
        compared = (task.judge,)
    if not task.scoring and not any(compared):
        return ""
    return digest((task.scoring, compared)).removeprefix("sha256:")[:DIGITS]


def check_options(scorer: Scorer, told: dict[str, Any]) -> None:
    """Refuse what a scorer cannot be told.

    Raises:
        ConfigError: an option that it does not have, or a wrong value of one.
    """
    known = () if scorer.options is None else scorer.options.__struct_fields__
    strange = [name for name in told if name not in known]
    if strange:
        said = f"It knows: {', '.join(known)}." if known else "It has no options."
        raise ConfigError(f"{scorer.name!r} has no option {strange[0]!r}.", said)
    if scorer.options is None:
        return
    try:
        msgspec.convert(told, scorer.options)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{scorer.name!r}: {error}.", "See docs/scorers.md.") from None
