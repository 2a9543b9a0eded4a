"""One look at every promise: assess, write down what alarms took back, tell the user.

Idempotent: a second look at the same records changes nothing and tells nobody again. `serve` looks
every few minutes, `stepdown review status` whenever it is asked.
"""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from msgspec.structs import replace

from stepdown.core.beside import Change
from stepdown.core.withdrawal import Withdrawal
from stepdown.errors import StepdownError
from stepdown.review.status import Status
from stepdown.wiring.review_kept import keep_status
from stepdown.wiring.review_notices import tell, tells
from stepdown.wiring.review_status import status
from stepdown.wiring.withdrawals import path_of, read_withdrawals, write_withdrawals
from stepdown.wiring.workspace import Workspace

LOCK = "review/look.lock"
NICENESS = 5  # answers come first
_log = logging.getLogger("stepdown.review")


def look(
    workspace: Workspace, by: str, *, now: str | None = None, tasks: Sequence[str] = ()
) -> Status:
    """Assess the tasks, write withdrawals that are new, note them in the ledger, and tell.

    Raises:
        LockError: there is no lock, or it was changed by hand.
        DataError: the file of withdrawals cannot be read.
    """
    with _alone(workspace):
        found = status(workspace, now=now, tasks=tasks)
        before = read_withdrawals(path_of(workspace.project))
        held = {one.task: one.withdrawal for one in found.tasks if one.withdrawal is not None}
        new = {name: made for name, made in held.items() if before.get(name) != made}
        if new:
            write_withdrawals(path_of(workspace.project), {**before, **new})
            _note(workspace, before, new, by)
        untold = {name: made for name, made in held.items() if not made.told}
        if untold and tells(workspace.project.review):
            found = _told(workspace, found, untold)
        if not tasks:
            keep_status(workspace, found)
    return found


def _told(workspace: Workspace, found: Status, untold: Mapping[str, Withdrawal]) -> Status:
    """Tell what nobody was told yet, also where a look before this one broke off.

    What is served was written before: a webhook that hangs must not delay the ceiling.
    """
    path, project = path_of(workspace.project), workspace.project
    told = {
        name: replace(one, told=tell(project.review, project.name, one))
        for name, one in untold.items()
    }
    write_withdrawals(path, {**read_withdrawals(path), **told})
    return replace(
        found,
        tasks=tuple(
            replace(one, withdrawal=told.get(one.task, one.withdrawal)) for one in found.tasks
        ),
    )


def _note(
    workspace: Workspace, before: Mapping[str, Withdrawal], new: Mapping[str, Withdrawal], by: str
) -> None:
    with workspace.ledger() as ledger:
        for name, made in new.items():
            was = before[name].acts if name in before else ""
            ledger.note(
                Change(
                    id=secrets.token_hex(12),
                    at=made.at,
                    by=by,
                    what="withdrawn",
                    task=name,
                    before=was,
                    after=made.acts,
                )
            )


@contextmanager
def _alone(workspace: Workspace) -> Iterator[None]:
    """One look at a time, of whatever process, so that nobody is told twice."""
    path = workspace.project.state / LOCK
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main() -> int:
    """Look once at the project in the folder that is named; what cannot be done is logged."""
    os.nice(NICENESS)
    logging.basicConfig(format="%(name)s: %(message)s")
    try:
        look(Workspace.open(Path(sys.argv[1])), "gateway")
    except StepdownError as error:
        _log.warning("the review could not look: %s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
