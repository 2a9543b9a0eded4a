"""`stepdown.lock` version 1: the evidence. Which policy serves each task, and why that may be.

Written by `certify`, read by `serve`; both sides use this one shape. A change of policy is a diff.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from stepdown.core.confidence import Calibrator
from stepdown.core.derived import Derived
from stepdown.core.digest import digest
from stepdown.core.policy import Policy, policy_from_plain, to_plain
from stepdown.core.trace import GuaranteeState

VERSION = 1


class LockedTier(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A tier as it was when it was certified: `digest` covers file, runtime and decoding."""

    model: str
    digest: str
    place: str
    price_basis: str
    price_source: str = ""
    recorded: bool = False


class Look(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One look at `n` certify rows: they are spent by it. `tested`: digest of what was tested.

    `sketch` holds the smallest hashes of the row ids, so that other rows can be compared with
    them. `delta` is 0 where the rows were shown and nothing was tested.
    """

    certify_digest: str
    date: str
    delta: float
    tested: str = ""
    n: int = 0
    sketch: str = ""


class Estimate(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A figure with its interval, n and source; None is unknown."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    unit: str = ""
    source: str = ""
    unknown: int = 0


class Beside(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A promise beside the main one, on `n` rows. What is estimated has an interval, no bound."""

    promise: str
    level: float
    certified: bool
    bound: float | None = None
    estimate: Estimate | None = None
    n: int = 0


class Guarantee(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A bound with its method, assumptions, n, data digests and date; it can be withdrawn.

    `promise` names the main promise (`core.task.Promise`), `level` its limit. `bound` is the end of
    the one-sided interval, at error chance `delta`, of the figure that is promised: its upper end
    where the promise is a `max_`, its lower end otherwise. `beside` holds the other promises.
    `scope` says what is promised about where that is not each call of the task by itself.
    """

    state: GuaranteeState
    scope: str = ""
    promise: str = "max_loss"
    level: float | None = None
    delta: float | None = None
    bound: float | None = None
    beside: tuple[Beside, ...] = ()
    loss: Estimate | None = None
    method: str = ""
    assumptions: tuple[str, ...] = ()
    reference: str = "gold"
    split: str = ""
    n_train: int = 0
    n_tune: int = 0
    n_certify: int = 0
    groups: int = 0
    labels_needed: int | None = None
    labels_used: int | None = None
    data: Mapping[str, str] = {}
    looks: tuple[Look, ...] = ()
    seed: int | None = None
    date: str = ""
    review_by: str = ""
    why: str = ""


class Marked(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """How a signal lay on `n` certify rows: `below` counts those under each of the `cuts`."""

    cuts: tuple[float, ...]
    below: tuple[int, ...]
    n: int


class Watched(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What the certify rows looked like under the policy: what production is compared with.

    Of `n` rows the ceiling answered `by_ceiling`; of the others `compared` had an answer of the
    ceiling beside theirs, and `differed` of these were another one. `signals` are those of the
    `tier` that is called first. On `paired` rows two tiers below the ceiling answered, on `unlike`
    of these not the same.
    """

    n: int
    by_ceiling: int = 0
    compared: int = 0
    differed: int = 0
    tier: str = ""
    signals: Mapping[str, Marked] = {}
    paired: int = 0
    unlike: int = 0


class LockedTriage(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The file that foretells `triage.TIER` before any call, and the encoder of its vectors."""

    file: str
    digest: str
    encoder: str = ""
    encoder_digest: str = ""


class LockedTask(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Everything that decides an answer of one task.

    `confidence` maps a tier to its calibrated signal; `signals` are derived from others by formula.
    """

    policy: Policy
    contract: str
    settings: str
    guarantee: Guarantee
    tiers: Mapping[str, LockedTier]
    confidence: Mapping[str, Calibrator] = {}
    signals: Mapping[str, Derived] = {}
    triage: LockedTriage | None = None
    expected: Mapping[str, Estimate] = {}
    kept: Mapping[str, float] = {}
    watched: Watched | None = None

    def __post_init__(self) -> None:
        """Refuse a policy that reads a derived signal before what it rests on is known."""
        self.policy.check_derived(self.signals)


class Lock(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """All locked tasks of a project."""

    version: int
    generator: str
    project: str
    tasks: Mapping[str, LockedTask]

    @property
    def digest(self) -> str:
        """Digest of the whole lock; every trace carries it."""
        return digest(lock_to_plain(self))


def task_digest(locked: LockedTask) -> str:
    """Return the digest of one task's certificate: it stays where only other tasks change."""
    return digest(to_plain(locked))


def lock_to_plain(lock: Lock) -> dict[str, Any]:
    """Return the lock as plain values in which actions are in their written form."""
    plain: dict[str, Any] = to_plain(lock)
    return plain


def lock_from_plain(plain: Mapping[str, Any]) -> Lock:
    """Return the lock that `lock_to_plain` wrote.

    Raises:
        ValueError: another version, an unknown key, a table that is not sound.
    """
    if plain.get("version") != VERSION:
        raise ValueError(f"version {plain.get('version')!r}; this program reads {VERSION}")
    tasks = {name: _task(task) for name, task in plain.get("tasks", {}).items()}
    return msgspec.structs.replace(
        msgspec.convert({**plain, "tasks": {}}, Lock, strict=True), tasks=tasks
    )


def _task(plain: Mapping[str, Any]) -> LockedTask:
    policy = policy_from_plain(plain["policy"])
    rest = {k: v for k, v in plain.items() if k != "policy"}
    known = set(LockedTask.__struct_fields__)
    if unknown := set(plain) - known:
        raise ValueError(f"unknown key {min(unknown)!r}")
    shell = {**rest, "policy": msgspec.to_builtins(policy)}
    return msgspec.structs.replace(msgspec.convert(shell, LockedTask), policy=policy)
