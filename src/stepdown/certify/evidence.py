"""What certification is given, and what it hands back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from msgspec import Struct

from stepdown.certify.search import Searched
from stepdown.certify.tested import TestedPath
from stepdown.certify.triage import Triage
from stepdown.certify.worth import Verdict as RoutingVerdict
from stepdown.core.lock import LockedTask, LockedTier, Look
from stepdown.core.outcome import Outcome
from stepdown.core.replay_array import Panel
from stepdown.core.task import Task
from stepdown.ports.encoder import Encoder


class Evidence(Struct, frozen=True, kw_only=True):
    """What certification may look at. Rows of `tune` and `certify` share no group.

    `split` says in words how the rows were split; `data` holds digests of the three parts.
    `reference` is "ceiling" when the right answers are the ceiling's own logged ones.
    `clustered`: the user's own groups (conversations) may hold several rows, and the promise is
    for rows; otherwise groups are near-duplicates, and one row of each is tested. `binary`: scores
    are 0 or 1 by construction; None leaves it to the task (label answers are). `encoder` gives
    triage its vectors; without one only segments foretell.
    """

    tune: Panel | Sequence[Outcome]
    certify: Panel | Sequence[Outcome]
    n_train: int
    split: str
    data: Mapping[str, str]
    reference: str = "gold"
    clustered: bool = False
    binary: bool | None = None
    encoder: Encoder | None = None


class Terms(Struct, frozen=True, kw_only=True):
    """What the lock must say beside the policy: settings, tiers, dates, earlier looks.

    `tasks_together`: tasks of the project among which a delta `over = "project"` is divided.
    `tested_before` names what the same certify rows test first, in one and the same look.
    """

    settings: str
    tiers: Mapping[str, LockedTier]
    today: date
    review_days: int
    baseline: str | None
    looks: tuple[Look, ...] = ()
    allow_relook: bool = False
    tasks_together: int = 1
    tested_before: str = ""


class Certified(Struct, frozen=True, kw_only=True):
    """The locked task with what led to it, for reports. `along` is the path that was tested.

    `dropped` counts certify rows that could not be used; `warnings` say what is odd in the data.
    `triage` is what the policy's `triage.TIER` come from, None when it reads none; `routing` says
    whether learned routing beat the static hull on the tune rows.
    """

    task: Task
    locked: LockedTask
    found: tuple[Searched, ...]
    along: tuple[Searched, ...]
    chosen: int
    tested: TestedPath | None
    certify_table: Panel
    dropped: int
    warnings: tuple[str, ...] = ()
    triage: Triage | None = None
    routing: RoutingVerdict | None = None

    @property
    def state(self) -> str:
        """`certified`, `declared` or `ceiling`."""
        return self.locked.guarantee.state
