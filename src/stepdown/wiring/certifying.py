"""`certify`: gather outcomes, certify each task, write the lock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec
from msgspec import Struct

from stepdown import __version__
from stepdown.certify.certify import certify_task
from stepdown.certify.evidence import Certified, Evidence, Terms
from stepdown.certify.looks import SHOWN, overlap
from stepdown.core.digest import digest
from stepdown.core.judgement import judged
from stepdown.core.lock import VERSION, Lock, LockedTask, Look
from stepdown.core.outcome import Outcome
from stepdown.core.replay_array import Panel
from stepdown.core.task import Task
from stepdown.errors import LockError
from stepdown.evals.dataset import Sample, digest_of
from stepdown.evals.scorers import is_binary
from stepdown.wiring.buying import further
from stepdown.wiring.evaluating import Watch, run_one, samples_in, unfit
from stepdown.wiring.foretelling import static_encoder, with_triage_kept
from stepdown.wiring.frontier_file import write_frontier
from stepdown.wiring.lockfile import LOCKS, keep_lock, read_lock, write_lock
from stepdown.wiring.pool import pool_of, pool_outcomes, settled
from stepdown.wiring.pool_labels import labels_of
from stepdown.wiring.second_pass import as_asked, scored_outcomes
from stepdown.wiring.workspace import Workspace


class Gathered(Struct, frozen=True, kw_only=True):
    """The outcomes of one task by part; tiers that were run now or earlier.

    `pool`: ids of certify rows that came without a reference, of which people judged `labelled`,
    and differ about `disputed`; `left_out` rows of the pool resemble rows that chose. `alone`: the
    certify rows with a reference were spent by an earlier test, so the pool stands in for them.
    """

    tune: Panel | tuple[Outcome, ...]
    certify: Panel | tuple[Outcome, ...]
    pool: frozenset[str] = frozenset()
    labelled: int = 0
    disputed: int = 0
    left_out: int = 0
    alone: bool = False
    data: Mapping[str, str] = {}

    @property
    def words(self) -> str:
        """Say what the pool adds, "" without one."""
        if not self.pool:
            return ""
        where = "in place of rows that an earlier test has spent" if self.alone else "beside them"
        return (
            f"; certify has {len(self.pool)} rows of the pool {where}, {self.labelled} judged by "
            "people, the other disagreements with the ceiling counted as lost"
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """Say what the figures mean when nobody has judged some rows."""
        unsaid = len(self.pool) - self.labelled
        if not unsaid:
            return ()
        disputed = f", {self.disputed} of them disputed" if self.disputed else ""
        said = (
            f"{unsaid} of {len(self.pool)} pool rows are not judged{disputed}: there the ceiling "
            "counts as right and every other answer as wrong. The bound on the loss holds; the "
            "scores of single tiers mean nothing."
        )
        return (said,)


async def gather(
    workspace: Workspace,
    task: Task,
    watch: Watch | None = None,
    *,
    parts: Sequence[str] = ("tune", "certify"),
    relook: bool = False,
) -> Gathered:
    """Run every tier of a task on its tune and certify rows; kept calls are not asked again.

    Once somebody has labelled rows of the pool, the pool certifies too. A part that is not asked
    for stays empty.
    """
    asked = {part: await _part(workspace, task, part, watch) for part in parts}
    found = Gathered(tune=asked.get("tune", ()), certify=asked.get("certify", ()))
    if "certify" not in parts or not _labels_help(workspace, task):
        return found
    return await with_pool(workspace, task, found, watch, relook=relook)


def _labels_help(workspace: Workspace, task: Task) -> bool:
    return may_use_pool(workspace, task) and bool(labels_of(workspace, task).read())


def may_use_pool(workspace: Workspace, task: Task) -> bool:
    """Say whether rows that nobody has labelled are there, and can help the task's promise."""
    keys = workspace.project.data
    there = keys is not None and keys.pool is not None
    return there and task.name not in workspace.project.inputs and not unhelped(task)


def unhelped(task: Task) -> str:
    """Return the promise of a task that labels of a pool cannot help, "" where they can.

    At worst means a loss against the ceiling; a promise of anything else reads other figures.
    """
    main = task.promise.main(task.reference_is)
    if main != "max_loss":
        return main
    return "recall" if task.promise.recall else ""


async def _part(
    workspace: Workspace, task: Task, part: str, watch: Watch | None
) -> tuple[Outcome, ...]:
    return await outcomes_of(workspace, task, samples_in(workspace, task, (part,)), watch)


def able(workspace: Workspace, task: Task) -> tuple[str, ...]:
    """Return the ceiling, and the tiers below it that can take some of the task's inputs."""
    lacking = unfit(workspace, task)
    return tuple(tier for tier in task.tiers if tier == task.ceiling or tier not in lacking)


def left_out(workspace: Workspace, task: Task) -> tuple[str, ...]:
    """Name the tiers that can take none of the task's inputs, with the reason."""
    lacking = unfit(workspace, task)
    kept = able(workspace, task)
    said = ((tier, why) for tier, why in lacking.items() if tier not in kept)
    return tuple(f"{tier} can answer none of the rows: {why}." for tier, why in said)


async def outcomes_of(
    workspace: Workspace, task: Task, samples: Sequence[Sample], watch: Watch | None = None
) -> tuple[Outcome, ...]:
    """Return what every tier answers to some samples, with what is bought and polished."""
    found: list[Outcome] = []
    asked = as_asked(task, samples)
    for tier in able(workspace, task):
        found += (await run_one(workspace, task, tier, asked, watch)).outcomes
    found += await further(workspace, task, asked, found, watch)
    return (await scored_outcomes(workspace, task, samples, found, watch))[0]


async def with_pool(
    workspace: Workspace,
    task: Task,
    gathered: Gathered,
    watch: Watch | None = None,
    *,
    relook: bool = False,
) -> Gathered:
    """Add the pool's rows to the certify rows, at worst where nobody spoke.

    Certify rows that an earlier test has spent are left out, unless `relook` takes them again.
    """
    assert not isinstance(gathered.certify, Panel)
    pool = pool_of(workspace, task)
    said = settled(workspace, task)
    scored = judged(await pool_outcomes(workspace, task, pool, watch), task.ceiling, said.verdicts)
    queries = frozenset(one.id for one in pool.samples)
    known = [_regrouped(one, pool.groups) for one in gathered.certify]
    alone = not relook and _spent(_looks(workspace, task), known, queries)
    return Gathered(
        tune=gathered.tune,
        certify=tuple(scored if alone else [*known, *scored]),
        pool=queries,
        labelled=len(queries & set(said.verdicts)),
        disputed=len(queries & set(said.disputed)),
        left_out=pool.left_out,
        alone=alone,
        data={"pool": digest_of(pool.samples), "labels": digest(sorted(said.verdicts.items()))},
    )


def _regrouped(one: Outcome, groups: Mapping[str, str]) -> Outcome:
    return msgspec.structs.replace(one, group=groups.get(one.query_id, one.group))


def _spent(looks: Sequence[Look], known: Sequence[Outcome], pool: Iterable[str]) -> bool:
    """Say whether a test of the certify rows without the pool is on record."""
    rows, fresh = sorted({one.query_id for one in known}), sorted(pool)
    tests = [look for look in looks if look.tested != SHOWN]
    return any(overlap(look, rows) > 0 and overlap(look, fresh) == 0 for look in tests)


def certify(
    workspace: Workspace, task: Task, gathered: Gathered, *, relook: bool = False
) -> Certified:
    """Certify one task on gathered outcomes; what its policy reads is kept beside the lock."""
    evidence = evidence_of(workspace, task, gathered)
    done = certify_task(task, evidence, terms_of(workspace, task, relook=relook))
    scored = _scored_words(task)
    said = (*left_out(workspace, task), *gathered.warnings, *done.warnings, *scored)
    done = msgspec.structs.replace(done, warnings=said)
    return with_triage_kept(done, workspace.project.root)


def _scored_words(task: Task) -> tuple[str, ...]:
    if not task.cascades:
        return ("Vectors of two models never mix, so one tier is locked for all inputs.",)
    if task.judge is None:
        return ()
    said = f"The scores are those of the judge {task.judge.name} ({task.judge.tier})"
    more = "`stepdown eval` shows how far it agrees with people"
    return (f"{said}, so the promise is about what it says; {more}.",)


def evidence_of(workspace: Workspace, task: Task, gathered: Gathered) -> Evidence:
    """Return what certification may look at."""
    split = workspace.whole_split.description
    return Evidence(
        tune=gathered.tune,
        certify=gathered.certify,
        n_train=len(workspace.part(task, "train")),
        split=f"{split}{gathered.words}",
        data={**workspace.split_digests(task), **gathered.data},
        clustered=workspace.project.data is not None and workspace.project.data.group is not None,
        reference=task.reference_is,
        binary=is_binary(task),
        encoder=static_encoder(),
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
        tasks_together=tasks_together(workspace),
    )


def tasks_together(workspace: Workspace) -> int:
    """Return the number of tasks among which a delta of the whole project is divided."""
    return sum(task.promise.over == "project" for task in workspace.tasks())


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
    keep_lock(workspace.project.lock_path, workspace.project.state / LOCKS)
    write_lock(workspace.project.lock_path, lock)
    for one in found:
        write_frontier(workspace.project.state, one.task.name, one)
    return lock


def _old_tasks(workspace: Workspace) -> Mapping[str, LockedTask]:
    try:
        return workspace.lock().tasks if workspace.project.lock_path.exists() else {}
    except LockError as error:
        raise LockError(error.message, "Move it away to start anew.") from None
