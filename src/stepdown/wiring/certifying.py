"""`certify`: gather outcomes, certify each task, write the lock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from stepdown import __version__
from stepdown.certify.certify import Certified, Evidence, Terms, certify_task
from stepdown.core.lock import VERSION, Lock, LockedTask, Look
from stepdown.core.outcome import Outcome
from stepdown.core.task import Task
from stepdown.errors import DataError, LockError
from stepdown.wiring.evaluating import Watch, run_one, samples_in
from stepdown.wiring.lockfile import read_lock, write_lock
from stepdown.wiring.workspace import Workspace


class Gathered(Struct, frozen=True, kw_only=True):
    """The outcomes of one task by part; tiers that were run now or earlier."""

    tune: tuple[Outcome, ...]
    certify: tuple[Outcome, ...]


async def gather(workspace: Workspace, task: Task, watch: Watch | None = None) -> Gathered:
    """Run every tier of a task on its tune and certify rows; kept calls are not asked again."""
    parts = {}
    for part in ("tune", "certify"):
        samples = samples_in(workspace, task, (part,))
        found: list[Outcome] = []
        for tier in task.tiers:
            found += (await run_one(workspace, task, tier, samples, watch)).outcomes
        parts[part] = tuple(found)
    return Gathered(tune=parts["tune"], certify=parts["certify"])


def divide(workspace: Workspace, task: Task, outcomes: Sequence[Outcome]) -> Gathered:
    """Split outcomes from a file by the project's own split.

    Raises:
        DataError: a query of the file is in no part of the data.
    """
    split = workspace.whole_split
    part_of = {s.id: part for part, samples in split.parts.items() for s in samples}
    unknown = [o.query_id for o in outcomes if o.query_id not in part_of]
    if unknown:
        raise DataError(
            f"{len(unknown)} outcomes belong to no row of the data, the first is {unknown[0]!r}.",
            "Check that [data] in stepdown.toml names the rows that the outcomes were made on.",
        )
    mine = [o for o in outcomes if o.tier in task.tiers]
    return Gathered(
        tune=tuple(o for o in mine if part_of[o.query_id] == "tune"),
        certify=tuple(o for o in mine if part_of[o.query_id] == "certify"),
    )


def certify(
    workspace: Workspace, task: Task, gathered: Gathered, *, relook: bool = False
) -> Certified:
    """Certify one task on gathered outcomes."""
    evidence = Evidence(
        tune=gathered.tune,
        certify=gathered.certify,
        n_train=len(workspace.part(task, "train")),
        split=workspace.whole_split.description,
        data=workspace.split_digests(task),
        clustered=workspace.project.data is not None and workspace.project.data.group is not None,
    )
    terms = Terms(
        settings=workspace.project.settings_digest(task),
        tiers=workspace.locked_tiers(task),
        today=workspace.environment.today,
        review_days=workspace.project.review_days,
        baseline=workspace.project.baseline,
        looks=_looks(workspace, task),
        allow_relook=relook,
    )
    return certify_task(task, evidence, terms)


def _looks(workspace: Workspace, task: Task) -> tuple[Look, ...]:
    """The looks that an earlier lock records; a lock that cannot be read is an error, not zero."""
    if not workspace.project.lock_path.exists():
        return ()
    locked = read_lock(workspace.project.lock_path).tasks.get(task.name)
    return locked.guarantee.looks if locked else ()


def write(workspace: Workspace, found: Sequence[Certified]) -> Lock:
    """Write the lock: the tasks certified now, and those that the old lock holds beside them."""
    now: dict[str, LockedTask] = {one.task.name: one.locked for one in found}
    old = _old_tasks(workspace)
    names = [name for name in workspace.project.tasks if name in now or name in old]
    lock = Lock(
        version=VERSION,
        generator=f"stepdown {__version__}",
        project=workspace.project.name,
        tasks={name: now.get(name) or old[name] for name in names},
    )
    write_lock(workspace.project.lock_path, lock)
    return lock


def _old_tasks(workspace: Workspace) -> Mapping[str, LockedTask]:
    try:
        return workspace.lock().tasks if workspace.project.lock_path.exists() else {}
    except LockError as error:
        raise LockError(error.message, "Move it away to start anew.") from None
