"""`replay`: a locked policy over recorded outcomes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from msgspec import Struct

from stepdown.certify.calibration import with_confidence
from stepdown.certify.certify import loss_estimate, mean_estimate
from stepdown.core.lock import Estimate, Lock
from stepdown.core.outcome import Outcome
from stepdown.core.replay_array import Panel, ReplayedArray, panel, replay_array
from stepdown.core.report import Claim, Column, Document, Prose, Section, Table, Unit
from stepdown.errors import LockError


class Replay(Struct, frozen=True, kw_only=True):
    """What a locked policy did on recorded outcomes. `broken`: surely not within its promise."""

    task: str
    n: int
    dropped: int
    score: Estimate
    ceiling_score: Estimate
    loss: Estimate
    cost_usd: Estimate
    always_ceiling_usd: Estimate
    latency_s: Estimate
    kept: Mapping[str, float]
    reasons: Mapping[str, int]
    outside: Mapping[str, int]
    promised: float | None
    broken: bool


def replay_lock(lock: Lock, task: str, outcomes: Sequence[Outcome]) -> Replay:
    """Return what the locked policy of a task would have done.

    Rows without a score of the ceiling are dropped and counted.

    Raises:
        LockError: the lock holds no such task, or the outcomes none of its ceiling.
    """
    if task not in lock.tasks:
        raise LockError(f"The lock holds no task {task!r}.", f"It has: {', '.join(lock.tasks)}.")
    locked = lock.tasks[task]
    ceiling = locked.policy.ceiling
    whole = panel(outcomes)
    if ceiling not in whole.score:
        raise LockError(
            f"The outcomes have no row of the ceiling {ceiling!r}.",
            f"The policy's tiers are {', '.join(locked.policy.tiers)}.",
        )
    known = np.flatnonzero(whole.available[ceiling] & ~np.isnan(whole.score[ceiling]))
    maps = {t: m for t, m in locked.confidence.items() if f"{t}.{m.signal}" in whole.signals}
    table = with_confidence(whole.take(known), maps)
    done = replay_array(locked.policy, table)
    loss = loss_estimate(np.nan_to_num(done.score), table.score[ceiling])
    promised = locked.guarantee.level
    broken = promised is not None and loss.low is not None and loss.low > promised
    return _figures(task, table, done, ceiling, loss, promised, broken, whole.n - table.n)


def _figures(
    task: str,
    table: Panel,
    done: ReplayedArray,
    ceiling: str,
    loss: Estimate,
    promised: float | None,
    broken: bool,
    dropped: int,
) -> Replay:
    kept = Counter(str(name) for name in done.answer)
    return Replay(
        task=task,
        n=table.n,
        dropped=dropped,
        score=mean_estimate(np.nan_to_num(done.score), "score"),
        ceiling_score=mean_estimate(table.score[ceiling], "score"),
        loss=loss,
        cost_usd=mean_estimate(done.cost_usd, "usd"),
        always_ceiling_usd=mean_estimate(table.cost_usd[ceiling], "usd"),
        latency_s=mean_estimate(done.latency_s, "s"),
        kept={name: count / table.n for name, count in kept.most_common()},
        reasons=dict(Counter(done.reason.tolist()).most_common()),
        outside=dict(Counter(str(o) for o in done.outside_guarantee if o is not None)),
        promised=promised,
        broken=broken,
    )


def document(found: Replay) -> Document:
    """Return the replay as a report."""
    columns = (Column("figure"), Column("value", numeric=True))
    rows = (
        ("score", _claim(found.score)),
        ("score of the ceiling", _claim(found.ceiling_score)),
        ("loss against the ceiling", _claim(found.loss)),
        ("cost a call", _claim(found.cost_usd)),
        ("cost a call, always the ceiling", _claim(found.always_ceiling_usd)),
        ("latency", _claim(found.latency_s)),
        *((f"answered by {tier}", Claim(share, "share")) for tier, share in found.kept.items()),
        *((f"reason {name}", Claim(n, "count")) for name, n in found.reasons.items()),
        *((f"outside: {name}", Claim(n, "count")) for name, n in found.outside.items()),
    )
    notes = (f"{found.dropped} rows dropped: no score of the ceiling.",) if found.dropped else ()
    table = Table(title=f"Replay of {found.task}", columns=columns, rows=rows, notes=notes)
    return Document(title="Replay", sections=(Section(found.task, (_verdict(found), table)),))


def _verdict(found: Replay) -> Prose:
    if found.promised is None:
        return Prose("This policy promises nothing: it is declared.", "warn")
    if found.broken:
        return Prose(f"The promise of {found.promised:g} is broken on these rows.", "bad")
    held = found.loss.high is not None and found.loss.high <= found.promised
    said = "holds" if held else "is not contradicted"
    return Prose(f"The promise of {found.promised:g} {said} on these rows.", "good")


def _claim(one: Estimate) -> Claim:
    unit: Unit = one.unit  # type: ignore[assignment]
    note = f"{one.unknown} unknown" if one.unknown else ""
    source = "replayed rows" if one.source == "certify rows" else one.source
    return Claim(one.value, unit, one.low, one.high, 0.95, one.n, source, note)
