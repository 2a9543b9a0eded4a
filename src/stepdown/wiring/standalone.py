"""Certify an outcome table by itself, without a project: the outcome table, from anywhere.

The tiers are known only by their names in the table, so the lock can be replayed and compared, and
never served.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date
from pathlib import Path

import msgspec
import numpy as np
from msgspec import Struct

from stepdown import __version__
from stepdown.adapters.tables.paired_files import is_pair, pair_of
from stepdown.certify.certify import certify_task
from stepdown.certify.evidence import Certified, Evidence, Terms
from stepdown.config.naming import nearest
from stepdown.core.digest import digest
from stepdown.core.lock import VERSION, Lock, LockedTier, Look
from stepdown.core.replay_array import Floats, Panel
from stepdown.core.task import Promise, Task
from stepdown.errors import ConfigError, DataError, LockError
from stepdown.evals.dataset import Sample
from stepdown.evals.split import Split, split
from stepdown.wiring.foretelling import static_encoder, with_triage_kept
from stepdown.wiring.frontier_file import write_frontier
from stepdown.wiring.lockfile import TABLE, from_table, read_lock, write_lock
from stepdown.wiring.outcome_tables import digest_of_file, of_tiers

PARTS = ("tune", "certify")
STATE = ".stepdown"
SHARES = (0.4, 0.6)  # of the rows, for each part
REVIEW_DAYS = 31


class Asked(Struct, frozen=True, kw_only=True):
    """What is asked of a table. `tiers` from the weakest to the ceiling; () takes those it has.

    `name` of the task, "" takes the file's. `shares` of the rows that choose and that test.
    """

    path: Path
    lock: Path
    promise: Promise = Promise()
    tiers: tuple[str, ...] = ()
    ceiling: str = ""
    name: str = ""
    shares: tuple[float, ...] = SHARES
    relook: bool = False


class Standalone(Struct, frozen=True, kw_only=True):
    """What came of it, with the split of the table."""

    certified: Certified
    split: str
    project: str


def certify_table(asked: Asked, table: Panel, today: date) -> Standalone:
    """Certify an outcome table by itself and write its lock.

    Raises:
        DataError: the table lacks what the promise speaks of, or has too few rows.
        ConfigError: tiers that the table does not have, shares that are none, or a name that no
            file can have.
        LockError: the file of the lock holds something else.
    """
    _refuse_name(asked.name)
    digest_now = digest_of_file(asked.path)
    old = _old_lock(asked)
    if not table.n:
        raise DataError(f"{asked.path.name} holds no outcome.", "See docs/outcome-table.md.")
    table = of_tiers(table, _named(asked, table))
    shares = dict(zip(PARTS, asked.shares, strict=True))
    done = _split(table, shares)
    parts = _parts(table, done)
    task = _task(asked, table, parts["tune"])
    tested = certify_task(
        task,
        Evidence(
            tune=parts["tune"],
            certify=parts["certify"],
            n_train=0,
            split=_said(done, shares),
            data={name: digest(sorted(part.query_ids)) for name, part in parts.items()},
            reference="gold" if _scored(table) else "ceiling",
            clustered=_keyed(asked.path, table),
            binary=_right_or_wrong(parts["tune"]),
            encoder=static_encoder(),
        ),
        Terms(
            settings=digest([task, shares]),
            tiers={t: _locked_tier(asked.path, table.cost_usd[t], digest_now) for t in task.tiers},
            today=today,
            review_days=REVIEW_DAYS,
            baseline=task.ceiling,
            looks=_looks(old, task.name),
            allow_relook=asked.relook,
        ),
    )
    found = with_triage_kept(tested, asked.lock.parent)
    lock = Lock(
        version=VERSION,
        generator=f"stepdown {__version__}",
        project=_project(asked.path),
        tasks={**(old.tasks if old else {}), task.name: found.locked},
    )
    write_lock(asked.lock, lock)
    write_frontier(asked.lock.parent / STATE, task.name, found)
    return Standalone(certified=found, split=_said(done, shares), project=lock.project)


def _refuse_name(name: str) -> None:
    """Refuse a task whose files would land in another folder."""
    if "/" in name or "\\" in name or name.startswith("."):
        raise ConfigError(
            f"{name!r} is no name for a task: files are named after it.",
            "Use letters, digits, spaces, - and _.",
        )


def _project(path: Path) -> str:
    return f"{TABLE}{_stem(path)}"


def _stem(path: Path) -> str:
    return pair_of(path)[1] if is_pair(path) else path.stem


def _old_lock(asked: Asked) -> Lock | None:
    """Return the lock that stands there already, when it was made from a table of this name.

    Raises:
        LockError: it belongs to a project or to another table, or cannot be read.
    """
    if not asked.lock.exists():
        return None
    try:
        old = read_lock(asked.lock)
    except LockError as error:
        raise LockError(error.message, "Name another file with --lock.") from None
    if old.project != _project(asked.path) or not from_table(old):
        raise LockError(
            f"{asked.lock.name} {_whose(old)}, and the queries of {asked.path.name} belong to no "
            "row of the data that it was certified on; it was not touched.",
            "Name another file with --lock.",
        )
    return old


def _whose(old: Lock) -> str:
    if from_table(old):
        return f"was made from the table {old.project.removeprefix(TABLE)!r}"
    return f"belongs to the project {old.project!r}"


def _looks(old: Lock | None, task: str) -> tuple[Look, ...]:
    locked = old.tasks.get(task) if old else None
    return locked.guarantee.looks if locked else ()


def _tiers_in(table: Panel) -> tuple[str, ...]:
    """Return the tiers of a table without polished drafts."""
    return tuple(name for name in table.tiers if not _is_polished(name, table.tiers))


def _is_polished(name: str, tiers: Collection[str]) -> bool:
    return ">" in name and all(part in tiers for part in name.split(">"))


def _named(asked: Asked, table: Panel) -> tuple[str, ...]:
    """Return the tiers that were asked for, all of the table where none were.

    Raises:
        ConfigError: one that the table does not have, or one twice.
    """
    there = _tiers_in(table)
    for name in (*asked.tiers, *filter(None, (asked.ceiling,))):
        if name not in there:
            hint = nearest(name, there, "tiers")
            raise ConfigError(f"{asked.path.name} has no tier {name!r}.", hint)
    if len(set(asked.tiers)) < len(asked.tiers):
        raise ConfigError("--tiers names a tier twice.", "Name each once, weakest first.")
    if not asked.tiers:
        return there
    return tuple(name for name in there if name in (*asked.tiers, asked.ceiling))


def _scored(table: Panel) -> bool:
    return any((~np.isnan(score)).any() for score in table.score.values())


def _keyed(path: Path, table: Panel) -> bool:
    """Say whether the table's own groups hold several rows; a pair's only name equal prompts."""
    named = [group for group in table.groups if group is not None]
    return not is_pair(path) and len(set(named)) < len(named)


def _split(table: Panel, shares: Mapping[str, float]) -> Split:
    """Split the queries by near-duplicate prompts and the table's groups, stratified by segment."""
    nothing = (None,) * table.n
    columns = (
        table.query_ids,
        table.prompts or nothing,
        table.segments or nothing,
        table.groups or nothing,
    )
    rows = [
        Sample(id=query, input=prompt or "", reference=segment or "", group=group)
        for query, prompt, segment, group in zip(*columns, strict=True)
    ]
    return split(rows, shares)


def _said(done: Split, shares: Mapping[str, float]) -> str:
    parts = " and ".join(f"{share:g} to {name}" for name, share in shares.items())
    return f"{done.description}; {parts}, seed {done.seed} from the data"


def _parts(table: Panel, done: Split) -> dict[str, Panel]:
    groups = tuple(done.groups[query] for query in table.query_ids)
    grouped = msgspec.structs.replace(table, groups=groups)
    place = {query: i for i, query in enumerate(table.query_ids)}
    return {
        name: grouped.take(np.array([place[sample.id] for sample in part], dtype=np.intp))
        for name, part in done.parts.items()
    }


def _task(asked: Asked, table: Panel, tune: Panel) -> Task:
    tiers = _ordered(asked, tune)
    name = asked.name or _stem(asked.path)
    return Task(name=name, kind="draft", tiers=tiers, promise=asked.promise)


def _right_or_wrong(tune: Panel) -> bool:
    """Take scores for 0 or 1 by construction when the tune rows, which certify nothing, say so."""
    return all(np.isin(s[~np.isnan(s)], (0.0, 1.0)).all() for s in tune.score.values())


def _ordered(asked: Asked, tune: Panel) -> tuple[str, ...]:
    """Return the tiers as asked, otherwise by their mean score on the tune rows; of equal ones the
    dearer is the stronger, so that the cheaper has something to save.
    """
    ranked = asked.tiers or _by_score(asked, tune, _tiers_in(tune))
    ceiling = asked.ceiling or ranked[-1]
    return (*(name for name in ranked if name != ceiling), ceiling)


def _by_score(asked: Asked, tune: Panel, there: tuple[str, ...]) -> tuple[str, ...]:
    means = {name: _mean(tune.score[name]) for name in there}
    if max(means.values()) < 0 and not asked.ceiling:
        raise ConfigError(
            "No outcome has a score, so nothing says which tier is the ceiling.",
            "Name it with --ceiling, or all tiers with --tiers, weakest first.",
        )
    dear = {name: _mean(tune.cost_usd[name]) for name in there}
    return tuple(sorted(there, key=lambda name: (means[name], dear[name], name)))


def _mean(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else -1.0


def _locked_tier(path: Path, cost_usd: Floats, digest_now: str) -> LockedTier:
    priced = bool((~np.isnan(cost_usd)).any())
    return LockedTier(
        model=_project(path),
        digest=digest_now,
        place="unknown",
        price_basis="reported" if priced else "unknown",
        price_source=f"cost_usd in {path.name}" if priced else "",
        recorded=True,
    )
