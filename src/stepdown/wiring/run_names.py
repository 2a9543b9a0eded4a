"""Which run is meant: `latest`, `latest~1`, the beginning of a digest, a task, and a tier of it.

latest, latest~2              the newest run of any task, the one two before it
topic, topic~1                the newest run of a task, the one before it
3f9a                          the run whose digest begins so
topic/small, 3f9a/small       one tier of such a run
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct

from stepdown.errors import DataError
from stepdown.ports.run_store import RunHead
from stepdown.wiring.workspace import Workspace

LATEST = "latest"
_BACK = re.compile(r"(?P<name>.+?)~(?P<back>\d{1,4})")
_DIGEST = re.compile(r"(sha256:)?[0-9a-f]{4,64}")
SHOWN = 12  # digits of a digest that people read


class NamedRun(Struct, frozen=True):
    """A run, and the tier of it that was named, None for all of them."""

    head: RunHead
    tier: str | None = None

    @property
    def name(self) -> str:
        """Return what a person calls it: task, tier and the beginning of the digest."""
        inside = f"/{self.tier}" if self.tier else ""
        return f"{self.head.task}{inside} {short(self.head.digest)}"


def short(digest: str) -> str:
    """Return the beginning of a digest."""
    return digest.removeprefix("sha256:")[:SHOWN]


def named_run(workspace: Workspace, said: str) -> NamedRun:
    """Return the run that a name means.

    Raises:
        DataError: there is none, or there are several; names what there is.
    """
    whole = _found(workspace, said)
    if whole is not None:
        return NamedRun(whole)
    run, _, tier = said.rpartition("/")
    head = _found(workspace, run) if run else None
    if head is None:
        raise DataError(f"There is no run {said!r}.", _known(workspace))
    if head.part(tier) is None:
        listed = ", ".join(part.tier for part in head.parts)
        raise DataError(f"The run {run!r} has no tier {tier!r}.", f"It has: {listed}.")
    return NamedRun(head, tier)


def runs_of(workspace: Workspace, task: str | None = None) -> Sequence[RunHead]:
    """Return the runs of a task, or of all tasks of the project, the newest first."""
    tasks = workspace.project.tasks if task is None else [task]
    found = [head for name in tasks for head in workspace.runs.runs(name)]
    return sorted(found, key=lambda head: head.date, reverse=True)


def _found(workspace: Workspace, said: str) -> RunHead | None:
    back = _BACK.fullmatch(said)
    name, steps = (back["name"], int(back["back"])) if back else (said, 0)
    if name == LATEST or name in workspace.project.tasks:
        runs = runs_of(workspace, None if name == LATEST else name)
        if steps < len(runs):
            return runs[steps]
        whose = "" if name == LATEST else f" of {name}"
        raise DataError(
            f"There is no run {said!r}: {len(runs) or 'no'} runs{whose} are kept.",
            "Run `stepdown eval` first." if not runs else _known(workspace),
        )
    return _by_digest(workspace, said) if _DIGEST.fullmatch(said) else None


def _by_digest(workspace: Workspace, said: str) -> RunHead | None:
    begin = said.removeprefix("sha256:")
    found = [
        run for run in runs_of(workspace) if run.digest.removeprefix("sha256:").startswith(begin)
    ]
    if len(found) > 1:
        listed = ", ".join(short(run.digest) for run in found)
        raise DataError(f"{said!r} begins several runs: {listed}.", "Give more of the digest.")
    return found[0] if found else None


def _known(workspace: Workspace) -> str:
    runs = runs_of(workspace)[:6]
    if not runs:
        return "Run `stepdown eval` first."
    listed = ", ".join(f"{run.task} {short(run.digest)} ({run.date[:10]})" for run in runs)
    return f"The newest: {listed}. Or: latest, latest~1, TASK, TASK/TIER."
