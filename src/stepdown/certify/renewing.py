"""Renew a locked policy on fresh rows: the policy that serves is tested first, by itself.

Last month's rows choose (they are spent for testing), the fresh rows test. The policy in force is
the first hypothesis of a fixed sequence: only where it passes is the whole delta handed on to the
path of others; where it fails, the rest is what was set aside for them (`SAFER`). So at most delta
is spent on all of it together. Source: Wiens (2003), fallback; Maurer, Hothorn, Lehmacher (1995).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import Struct, structs, to_builtins

from stepdown.certify import stating
from stepdown.certify.calibration import with_confidence
from stepdown.certify.case import Given, binary_scores, given
from stepdown.certify.certify import certify_task
from stepdown.certify.evidence import Certified, Evidence, Terms
from stepdown.certify.figures import expected, kept_shares
from stepdown.certify.looks import rows_digest, spend
from stepdown.certify.needed import rows_needed
from stepdown.certify.promises import Measure, measures
from stepdown.certify.search import Searched, searched
from stepdown.certify.supply import Sources, raw_signals, supplied
from stepdown.certify.tested import Rows, TestedPath, rows_of, tested_path
from stepdown.core.digest import digest, seed_from
from stepdown.core.lock import LockedTask
from stepdown.core.policy import single
from stepdown.core.replay_array import Panel, ReplayedArray, replay_array
from stepdown.core.task import Task
from stepdown.stats.ratio import saving_interval
from stepdown.stats.sequence import FIRST_SHARE

SAFER = 1.0 - FIRST_SHARE  # of delta: what is left for others where the policy in force fails


class Renewed(Struct, frozen=True, kw_only=True):
    """What came of a task's fresh rows.

    `held`: the policy in force passed; `same_tiers`: its tiers are those that were locked, without
    which it is not renewed. `locked` is what should be locked now, and `changed` says
    that its policy is another. `other` is what the search of this month found on the same rows;
    `table` are the fresh rows as the policy in force reads them, `done` its replay.
    """

    task: Task
    held: bool
    same_tiers: bool
    changed: bool
    locked: LockedTask
    was: LockedTask
    tested: TestedPath
    other: Certified
    table: Panel
    done: ReplayedArray

    @property
    def state(self) -> str:
        """`certified`, `declared` or `ceiling`: of what should be locked now."""
        return self.locked.guarantee.state


class _Fresh(Struct, frozen=True, kw_only=True):
    """The fresh rows as the policy in force sees them, and its promises on them."""

    rows: Rows
    promises: tuple[Measure, ...]
    delta: float
    said: tuple[str, ...]


def needed(
    task: Task, evidence: Evidence, terms: Terms, locked: LockedTask, sources: Sources
) -> int | None:
    """Return the fresh rows that let the policy in force pass again with chance .8.

    By the test that ships, at the rates of the rows that chose. None when no number would: on
    these rows it misses its promise, or all but does.

    Raises:
        DataError: rows that no promise could be tested on.
    """
    old = structs.replace(evidence, certify=evidence.tune)
    rows = given(task, old, apart=False)
    table = _read(rows.tune, locked, sources)
    promises = measures(task, table, rows.reference, binary=_binary(task, old, rows), tune=True)
    along = _path(task, table, locked, promises)
    delta = stating.share_of_delta(task, terms)[0]
    return rows_needed(promises, along, table, delta, clustered=evidence.clustered)


def renew(
    task: Task,
    evidence: Evidence,
    terms: Terms,
    locked: LockedTask,
    sources: Sources,
    *,
    same_tiers: bool = True,
) -> Renewed:
    """Test the policy in force on the fresh rows, then what this month's search puts beside it.

    `evidence.tune` are all rows that earlier rounds used, `evidence.certify` fresh ones. Without
    `same_tiers` a tier of the policy is not the one that was locked, so nothing is renewed.

    Raises:
        DataError: rows that cannot be used, or that an earlier look has spent.
    """
    given_rows = given(task, evidence)
    fresh = _fresh(task, evidence, terms, locked, sources, given_rows)
    along = _path(task, fresh.rows.table, locked, fresh.promises)
    share = FIRST_SHARE * fresh.delta
    tested = tested_path(along, fresh.rows, fresh.promises, share, 1, None)
    held = tested.certified and same_tiers
    first = digest([to_builtins(locked.policy), to_builtins(locked.signals)]) if same_tiers else ""
    other = _other(task, evidence, terms, first, held=held, same_tiers=same_tiers)
    done = replay_array(locked.policy, fresh.rows.table, locked.signals)
    kept = _kept(task, evidence, terms, locked, fresh, tested, done, other) if held else None
    changed = kept is None or _saves_more(other, done, fresh.rows)
    return Renewed(
        task=task,
        held=held,
        same_tiers=same_tiers,
        changed=changed and other.locked.policy != locked.policy,
        locked=other.locked if changed or kept is None else kept,
        was=locked,
        tested=tested,
        other=other,
        table=fresh.rows.table,
        done=done,
    )


def _read(table: Panel, locked: LockedTask, sources: Sources) -> Panel:
    """Return the rows with every signal that the locked policy reads, as it was locked."""
    wanted = raw_signals([(locked.policy, locked.signals)])
    held = {t: m for t, m in locked.confidence.items() if f"{t}.{m.signal}" in table.signals}
    return with_confidence(supplied(table, wanted, sources), held).with_derived(locked.signals)


def _binary(task: Task, evidence: Evidence, rows: Given) -> bool:
    return binary_scores(task, evidence, (rows.tune, rows.certify))


def _fresh(
    task: Task,
    evidence: Evidence,
    terms: Terms,
    locked: LockedTask,
    sources: Sources,
    rows: Given,
) -> _Fresh:
    seed = seed_from(rows_digest(rows.certify.query_ids))
    table = _read(rows.certify, locked, structs.replace(sources, seed=seed))
    delta, said = stating.share_of_delta(task, terms)
    return _Fresh(
        rows=rows_of(table, seed, clustered=evidence.clustered),
        promises=measures(task, table, rows.reference, binary=_binary(task, evidence, rows)),
        delta=delta,
        said=said,
    )


def _path(
    task: Task, table: Panel, locked: LockedTask, promises: Sequence[Measure]
) -> tuple[Searched, Searched]:
    """Return the ceiling and the policy in force."""
    return (
        searched(table, single(task.ceiling), {}, promises),
        searched(table, locked.policy, locked.signals, promises),
    )


def _other(
    task: Task, evidence: Evidence, terms: Terms, first: str, *, held: bool, same_tiers: bool
) -> Certified:
    """Certify by this month's search with the delta that the policy in force leaves."""
    left = 1.0 if held or not same_tiers else SAFER
    promise = structs.replace(task.promise, delta=task.promise.delta * left)
    own = structs.replace(terms, tested_before=first)
    found = certify_task(structs.replace(task, promise=promise), evidence, own)
    stated = found.locked.guarantee
    if stated.delta is not None and left < 1:
        whole = stated.delta - promise.delta + task.promise.delta
        stated = structs.replace(stated, delta=whole)
    return structs.replace(found, task=task, locked=structs.replace(found.locked, guarantee=stated))


def _kept(
    task: Task,
    evidence: Evidence,
    terms: Terms,
    locked: LockedTask,
    fresh: _Fresh,
    tested: TestedPath,
    done: ReplayedArray,
    other: Certified,
) -> LockedTask:
    """Return the task as it was locked, under the guarantee of the fresh rows."""
    table, delta = fresh.rows.table, FIRST_SHARE * fresh.delta
    spent = spend(
        other.locked.guarantee.looks,
        table.query_ids,
        tested=_tested_by(other, table),
        delta=fresh.delta,
        today=terms.today.isoformat(),
        allow_relook=True,
        task=task.name,
    )
    guarantee = stating.stated(
        stating.base(evidence, terms, _size(evidence), table),
        task,
        fresh.rows,
        fresh.promises,
        done,
        spent,
        certified=True,
        method=tested.method,
        assumptions=(tested.assumptions, *fresh.said, "Earlier rows chose; only fresh rows test."),
        delta=delta,
    )
    total = other.locked.guarantee.delta
    return structs.replace(
        locked,
        settings=terms.settings,
        tiers=terms.tiers,
        guarantee=structs.replace(
            guarantee,
            delta=guarantee.delta if total is None else total,
            why="The policy in force passed again on fresh rows.",
        ),
        expected=expected(table, done, task.ceiling, terms.baseline),
        kept=kept_shares(done),
    )


def _tested_by(other: Certified, table: Panel) -> str:
    """Return the name of the look that this month's search has put on record for these rows."""
    rows = rows_digest(table.query_ids)
    named = [one.tested for one in other.locked.guarantee.looks if one.certify_digest == rows]
    return named[-1] if named else digest(["renewed", to_builtins(other.locked.policy)])


def _size(evidence: Evidence) -> int:
    if isinstance(evidence.tune, Panel):
        return evidence.tune.n
    return len({one.query_id for one in evidence.tune})


def _saves_more(other: Certified, done: ReplayedArray, fresh: Rows) -> bool:
    """Say whether what the search found is surely cheaper, on the same rows, than what serves.

    A change costs people a review, so a saving whose 95% interval reaches 0 is none.
    """
    if not other.chosen:
        return False
    mine = replay_array(other.locked.policy, other.certify_table, other.locked.signals).cost_usd
    place = {query: row for row, query in enumerate(other.certify_table.query_ids)}
    rows = np.array([place.get(query, -1) for query in fresh.table.query_ids])
    both = rows >= 0
    new, old = mine[rows[both]], done.cost_usd[both]
    if np.isnan(new).any() or np.isnan(old).any() or not old.sum() > 0:
        return False
    found = saving_interval(new, old, None if fresh.codes is None else fresh.codes[both])
    return found.low is not None and found.low > 0
