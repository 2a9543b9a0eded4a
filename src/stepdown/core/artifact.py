"""A trained artifact: what the registry knows of one file, or folder, that answers a task's tier.

Values and rules only: it reads no file and knows no model.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Literal

from msgspec import Struct

State = Literal["candidate", "promoted", "retired"]
Deed = Literal["register", "promote", "rollback", "import", "prune", "accept"]


class Artifact(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One artifact of one tier of a task.

    `digest` covers everything that decides an answer; `files` maps each of its files, relative to
    the folder of the registry, to its own digest. `score` (with its 95% interval) is on `n` rows
    that it was not trained on; `latency_p50_s` was measured on `latency_n` calls. `parent` is the
    digest of what it replaced. `answers_as` is the digest of the model that it opens as, where that
    covers more than its files (a runtime, settings). Dates are ISO dates; `card` and `suite` name
    files beside it.
    """

    task: str
    tier: str
    file: str
    digest: str
    recipe: str
    data_digest: str
    date: str
    score: float | None = None
    score_low: float | None = None
    score_high: float | None = None
    n: int = 0
    size_bytes: int = 0
    state: State = "promoted"
    latency_p50_s: float | None = None
    latency_n: int = 0
    parent: str | None = None
    promoted_on: str | None = None
    retired_on: str | None = None
    card: str | None = None
    suite: str | None = None
    files: Mapping[str, str] = {}
    answers_as: str | None = None

    @property
    def locked_as(self) -> str:
        """The digest by which a lock pins it."""
        return self.answers_as or self.digest

    @property
    def key(self) -> tuple[str, str, str]:
        """What no two artifacts share: task, tier and digest."""
        return (self.task, self.tier, self.digest)

    @property
    def short(self) -> str:
        """The first 12 digits of the digest, as people read and type it."""
        return self.digest.removeprefix("sha256:")[:12]

    def named(self) -> tuple[str, ...]:
        """Return every path that it names, relative to the folder of the registry."""
        beside = tuple(path for path in (self.card, self.suite) if path)
        return (self.file, *self.files, *beside)


class Event(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody did to an artifact, when; `before` is the digest that it took the place of."""

    at: str
    by: str
    what: Deed
    task: str
    tier: str
    digest: str
    before: str = ""
    why: str = ""


def problem_of(artifact: Artifact) -> str:
    """Return why an entry cannot be, "" where it can."""
    for path in artifact.named():
        if not _inside(path):
            return f"{path!r} lies outside the folder of the registry"
    if not (artifact.task and artifact.tier and artifact.digest):
        return "task, tier and digest must not be empty"
    bounds = (artifact.score_low, artifact.score_high)
    if None not in bounds and bounds[0] > bounds[1]:  # type: ignore[operator]
        return f"its interval {bounds[0]} to {bounds[1]} is upside down"
    return ""


def _inside(path: str) -> bool:
    plain = PurePosixPath(path)
    return bool(path) and not plain.is_absolute() and ".." not in plain.parts and "\\" not in path
