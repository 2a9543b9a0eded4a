"""What the calls that were not kept will cost at most, as far as can be told before them."""

from __future__ import annotations

from collections.abc import Sequence

from stepdown.core.task import Task
from stepdown.wiring.eval_planning import plan_eval
from stepdown.wiring.evaluating import NETWORKED
from stepdown.wiring.workspace import Workspace


def expected_usd(
    workspace: Workspace, tasks: Sequence[Task], parts: Sequence[str]
) -> tuple[float, tuple[str, ...]]:
    """Return the upper end of what networked tiers will cost, and those whose cost is unknown."""
    total, unknown = 0.0, dict[str, None]()
    for task in tasks:
        for one in plan_eval(workspace, task, parts=parts).spending:
            if workspace.tiers[one.tier].adapter not in NETWORKED or not one.calls:
                continue
            if one.now.value is None:
                unknown[one.tier] = None
            else:
                total += one.now.value if one.now.high is None else one.now.high
    return total, tuple(unknown)
