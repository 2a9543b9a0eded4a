"""A promise that an alarm took back: what is served instead, and why. The lock is not changed.

Pure. It does not know who raised the alarm or where this is kept.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from stepdown.core.policy import Clause, Policy

Evidence = Literal["loss", "confidence", "familiarity", "agreement"]


class Withdrawal(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A promise that an alarm took back, of the task as one lock certified it (`task_digest`).

    `acts`: `ceiling` answers everything, `raised` lets answers at or above `threshold` of `signal`
    through, which recent audits certified, `warned` changes nothing that is served. `told` says who
    was told, `examples` names requests.
    """

    task: str
    task_digest: str
    lock_digest: str
    at: str
    kind: Evidence
    reason: str
    acts: Literal["ceiling", "raised", "warned"] = "ceiling"
    signal: str | None = None
    threshold: float | None = None
    raised_words: str = ""
    told: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()

    @property
    def steps_up(self) -> bool:
        """Whether anything that is served changes."""
        return self.acts != "warned"


def raised(policy: Policy, signal: str, threshold: float) -> Policy:
    """Return the policy that accepts by `signal` only at `threshold` and above."""

    def clause(one: Clause) -> Clause:
        if one.signal != signal or one.then.kind != "accept":
            return one
        return replace(one, at_least=max(one.at_least, threshold))

    rows = tuple(replace(row, when=tuple(map(clause, row.when))) for row in policy.rows)
    return replace(policy, rows=rows)
