"""`certify`: gather outcomes, certify each task, write the lock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from stepdown import __version__
from stepdown.certify.certify import certify_task
from stepdown.certify.evidence import Certified, Evidence, Terms
from stepdown.core.judgement import Settled, judged
from stepdown.core.lock import VERSION, Lock, LockedTask, Look
from stepdown.core.outcome import Outcome
from stepdown.core.replay_array import Panel
from stepdown.core.task import Task
from stepdown.errors import LockError
from stepdown.evals.scorers import SCORERS
from stepdown.wiring.evaluating import Watch, run_one, samples_in
from stepdown.wiring.lockfile import read_lock, write_lock
from stepdown.wiring.pool import labels_of, pool_outcomes, settled
from stepdown.wiring.workspace import Workspace


class Gathered(Struct, frozen=True, kw_only=True):
    """The outcomes of one task by part; tiers that were run now or earlier.

    `pool`: certify rows that came without a reference, of which people judged `labelled`, and
    differ about `disputed`.
    """

    tune: Panel | tuple[Outcome, ...]
    certify: Panel | tuple[Outcome, ...]
    pool: int = 0
    labelled: int = 0
    disputed: int = 0

    @property
    def words(self) -> str:
        """Say what the pool adds, "" without one."""
        if not self.pool:
            return ""
        return (
            f"; certify has {self.pool} rows of the pool beside them, {self.labelled} judged by "
            "people, the other disagreements with the ceiling counted as lost"
        )


async def gather(
    workspace: Workspace,
    task: Task,
    watch: Watch | None = None,
    *,
    parts: Sequence[str] = ("tune", "certify"),
) -> Gathered:
    """Run every tier of a task on its tune and certify rows; kept calls are not asked again.

    Once somebody has labelled rows of the pool, the pool certifies too. A part that is not asked
    for stays empty.
    """
    asked = {part: await _part(workspace, task, part, watch) for part in parts}
    tune, certify = asked.get("tune", ()), asked.get("certify", ())
    if "certify" not in parts or not labels_of(workspace, task).read():
        return Gathered(tune=tune, certify=certify)
    found = await pool_outcomes(workspace, task, watch)
    said = settled(workspace, task)
    return with_pool(task, Gathered(tune=tune, certify=certify), found, said)


async def _part(
    workspace: Workspace, task: Task, part: str, watch: Watch | None
) -> tuple[Outcome, ...]:
    samples = samples_in(workspace, task, (part,))
    found: list[Outcome] = []
    for tier in task.tiers:
        found += (await run_one(workspace, task, tier, samples, watch)).outcomes
    return tuple(found)


def with_pool(task: Task, gathered: Gathered, pool: Sequence[Outcome], said: Settled) -> Gathered:
    """Add the pool's rows to the certify rows: at worst where nobody spoke."""
    assert not isinstance(gathered.certify, Panel)
    scored = judged(pool, task.ceiling, said.verdicts)
    queries = {one.query_id for one in pool}
    return Gathered(
        tune=gathered.tune,
        certify=(*gathered.certify, *scored),
        pool=len(queries),
        labelled=len(queries & set(said.verdicts)),
        disputed=len(queries & set(said.disputed)),
    )


def certify(
    workspace: Workspace, task: Task, gathered: Gathered, *, relook: bool = False
) -> Certified:
    """Certify one task on gathered outcomes."""
    evidence = evidence_of(workspace, task, gathered)
    return certify_task(task, evidence, terms_of(workspace, task, relook=relook))


def evidence_of(workspace: Workspace, task: Task, gathered: Gathered) -> Evidence:
    """Return what certification may look at."""
    split = workspace.whole_split.description
    return Evidence(
        tune=gathered.tune,
        certify=gathered.certify,
        n_train=len(workspace.part(task, "train")),
        split=f"{split}{gathered.words}",
        data=workspace.split_digests(task),
        clustered=workspace.project.data is not None and workspace.project.data.group is not None,
        binary=SCORERS[task.scorer].binary if task.scorer in SCORERS else None,
    )


def terms_of(workspace: Workspace, task: Task, *, relook: bool = False) -> Terms:
    """Return what the lock must say beside the policy."""
    return Terms(
        settings=workspace.project.settings_digest(task),
        tiers=workspace.locked_tiers(task),
        today=workspace.environment.today,
        review_days=workspace.project.review_days,
        baseline=workspace.project.baseline,
        looks=_looks(workspace, task),
        allow_relook=relook,
        tasks_together=sum(t.promise.over == "project" for t in workspace.tasks()),
    )


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
