"""Which task a request is for that names a model of today: by its template, never by a guess."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from stepdown.core.call import Call
from stepdown.serve.step import Step


class Mapped(Struct, frozen=True, kw_only=True):
    """A model name that callers use today: the tasks that may be meant, and who answers the rest.

    `otherwise` is a tier that may see what no single task's template matches.
    """

    tasks: tuple[str, ...]
    otherwise: str


def meant(call: Call, mapped: Mapped, steps: Mapping[str, Step]) -> tuple[str | None, str]:
    """Return the task that a request is for, and why there is none: `unmatched` or `ambiguous`.

    A hint that names one of the tasks decides. Else the one task whose contract holds something
    fixed and matches; a bare contract matches anything, so it counts only where it is the only one.
    """
    if call.hints.task in mapped.tasks:
        return call.hints.task, ""
    found = [name for name in mapped.tasks if _takes(steps[name], call)]
    if len(mapped.tasks) > 1:
        found = [name for name in found if not steps[name].task.contract.is_bare]
    if len(found) == 1:
        return found[0], ""
    return None, "ambiguous" if found else "unmatched"


def _takes(step: Step, call: Call) -> bool:
    return step.task.contract.take(call.messages) is not None
