"""Certify one task: search on tune rows, test on certify rows, and say honestly what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from stepdown.certify.calibration import choose, with_confidence
from stepdown.certify.search import Searched, candidates, path, searched, start, strength
from stepdown.core.confidence import Calibrator
from stepdown.core.digest import digest, seed_from
from stepdown.core.lock import Estimate, Guarantee, LockedTask, LockedTier, Look
from stepdown.core.outcome import Outcome
from stepdown.core.policy import Policy, cascade, single, to_plain
from stepdown.core.replay_array import Panel, ReplayedArray, panel, replay_array
from stepdown.core.task import Task
from stepdown.errors import DataError
from stepdown.stats.intervals import mean_interval, paired_difference
from stepdown.stats.noninferiority import PathCertificate, certify_path
from stepdown.stats.power import labels_needed

Floats = NDArray[np.float64]
FEWEST_TUNE = 10


class Evidence(Struct, frozen=True, kw_only=True):
    """What certification may look at. Rows of `tune` and `certify` share no group.

    `split` says in words how the rows were split; `data` holds digests of the three parts.
    `clustered`: the user's own groups (conversations) may hold several rows, and the promise is
    for rows; otherwise groups are near-duplicates, and one row of each is tested.
    """

    tune: Sequence[Outcome]
    certify: Sequence[Outcome]
    n_train: int
    split: str
    data: Mapping[str, str]
    reference: str = "gold"
    clustered: bool = False


class Terms(Struct, frozen=True, kw_only=True):
    """What the lock must say beside the policy: settings, tiers, dates, earlier looks."""

    settings: str
    tiers: Mapping[str, LockedTier]
    today: date
    review_days: int
    baseline: str | None
    looks: tuple[Look, ...] = ()
    allow_relook: bool = False


class Certified(Struct, frozen=True, kw_only=True):
    """The locked task with what led to it, for reports. `along` is the path that was tested."""

    task: Task
    locked: LockedTask
    found: tuple[Searched, ...]
    along: tuple[Searched, ...]
    chosen: int
    tested: PathCertificate | None
    certify_table: Panel
    dropped: int

    @property
    def state(self) -> str:
        """`certified`, `declared` or `ceiling`."""
        return self.locked.guarantee.state


def certify_task(task: Task, evidence: Evidence, terms: Terms) -> Certified:
    """Return the cheapest policy whose loss stays under the promise, with its evidence.

    Raises:
        DataError: too few rows, a ceiling without outcomes, or rows already spent by a look.
    """
    tune_all, certify_all = panel(evidence.tune), panel(evidence.certify)
    tune, _ = _usable(task, tune_all)
    rows, dropped = _usable(task, certify_all)
    if not _ceiling_answers(task, tune) or not _ceiling_answers(task, rows):
        return _without_ceiling(task, evidence, terms, certify_all)
    maps = _maps(task, tune)
    tune, rows = with_confidence(tune, maps), with_confidence(rows, maps)
    order = strength(tune, task.tiers, task.ceiling)
    return _search_and_test(task, evidence, terms, _Tables(tune, rows, maps, order, dropped))


class _Tables(Struct, frozen=True):
    tune: Panel
    certify: Panel
    maps: Mapping[str, Calibrator]
    order: tuple[str, ...]
    dropped: int


def _usable(task: Task, table: Panel) -> tuple[Panel, int]:
    """Keep the rows on which the ceiling has a score: without it there is no loss to speak of."""
    ceiling = task.ceiling
    if ceiling not in table.score:
        return table, 0
    known = table.available[ceiling] & ~np.isnan(table.score[ceiling])
    return table.take(np.flatnonzero(known)), int((~known).sum())


def _ceiling_answers(task: Task, table: Panel) -> bool:
    return task.ceiling in table.score and bool(table.available[task.ceiling].any())


def _maps(task: Task, tune: Panel) -> dict[str, Calibrator]:
    found = {t: choose(tune, t) for t in task.tiers if t != task.ceiling and t in tune.score}
    return {tier: chosen for tier, chosen in found.items() if chosen is not None}


def _search_and_test(task: Task, evidence: Evidence, terms: Terms, t: _Tables) -> Certified:
    if t.tune.n < FEWEST_TUNE or t.certify.n < FEWEST_TUNE:
        raise DataError(
            f"The task {task.name!r} has {t.tune.n} tune and {t.certify.n} certify rows with an "
            f"answer of the ceiling; at least {FEWEST_TUNE} of each are needed.",
            "Label more rows, or change data.shares.",
        )
    alone = _all_tiers(single(task.ceiling), t.order)
    if task.thresholds:
        return _declared(task, evidence, terms, t, _by_hand(task, t.order))
    found = [searched(t.tune, policy) for policy in candidates(t.tune, t.order)]
    along = path(found, searched(t.tune, alone))
    tested = _test(task, evidence, terms, t, along)
    chosen = _pick(tested, t, along)
    policy = along[chosen].policy
    guarantee = _guarantee(task, evidence, terms, t, tested, along, chosen)
    return _result(
        task, terms, t, policy, guarantee, found=found, along=along, chosen=chosen, tested=tested
    )


def _test(
    task: Task, evidence: Evidence, terms: Terms, t: _Tables, along: Sequence[Searched]
) -> PathCertificate | None:
    if len(along) < 2:
        return None
    _refuse_relook(task, terms, t, along)
    promise = task.promise
    table = np.array([_differences(one.policy, t.certify, task.ceiling) for one in along])
    named = zip(t.certify.groups, t.certify.query_ids, strict=True)
    groups = [f"row {query}" if group is None else group for group, query in named]
    return certify_path(
        table,
        promise.limit(),
        promise.delta,
        start(along, promise.limit(), t.tune.n, t.certify.n),
        groups if len(set(groups)) < len(groups) else None,
        scores="binary" if task.labels else "graded",
        seed=seed_from(_rows_digest(t.certify)),
        per="row" if evidence.clustered else "group",
    )


def _differences(policy: Policy, table: Panel, ceiling: str) -> Floats:
    """Score of the policy minus score of the ceiling, per row; no answer scores 0."""
    done = replay_array(policy, table)
    return np.nan_to_num(done.score) - table.score[ceiling]


def _rows_digest(table: Panel) -> str:
    return digest(sorted(table.query_ids))


def _tested_digest(task: Task, along: Sequence[Searched]) -> str:
    return digest([task.promise, [to_plain(one.policy) for one in along]])


def _pick(tested: PathCertificate | None, t: _Tables, along: Sequence[Searched]) -> int:
    """Return the certified policy that is cheapest on the certify rows; 0 is the ceiling itself.

    The sequence keeps its error chance for all policies that pass together, so any of them may be
    taken, and one that saves nothing is not. Where a cost is unknown the furthest on the path wins.
    """
    if tested is None or not tested.certified:
        return 0
    passed = [0, *(policy.index for policy in tested.policies if policy.passed and policy.index)]
    costs = [replay_array(along[i].policy, t.certify).cost_usd.mean() for i in passed]
    if np.isnan(costs).any():
        return tested.chosen
    return passed[int(np.argmin(costs))]


def _refuse_relook(task: Task, terms: Terms, t: _Tables, along: Sequence[Searched]) -> None:
    """Rows that certified something else are spent: a second test on them would cost more delta."""
    rows, what = _rows_digest(t.certify), _tested_digest(task, along)
    others = [k for k in terms.looks if k.certify_digest == rows and k.tested != what]
    if others and not terms.allow_relook:
        raise DataError(
            f"The certify rows of {task.name!r} were already looked at on {others[-1].date} to "
            "test other policies; another test on them would break the promise.",
            "Add fresh rows, or pass --relook: the lock then states the added chance of error.",
        )


def _guarantee(
    task: Task,
    evidence: Evidence,
    terms: Terms,
    t: _Tables,
    tested: PathCertificate | None,
    along: Sequence[Searched],
    chosen: int,
) -> Guarantee:
    certified = chosen > 0
    looks = _looks(task, terms, t, along) if tested else terms.looks
    rows = _rows_digest(t.certify)
    spent = [look for look in looks if look.certify_digest == rows]
    policy = along[chosen].policy
    base = _evidence_of(evidence, terms, t)
    return msgspec.structs.replace(
        base,
        state="certified" if certified else "ceiling",
        level=task.promise.limit(),
        delta=sum(look.delta for look in spent) or task.promise.delta,
        bound=tested.policies[chosen].loss_bound if tested and certified else 0.0,
        loss=_loss(task, t, policy),
        method=tested.method if tested else "nothing cheaper than the ceiling to test",
        assumptions=(tested.assumptions,) if tested else (),
        looks=looks,
        seed=seed_from(rows),
        labels_needed=None if certified else _labels(task, along),
        labels_used=_disagreements(policy, t, task.ceiling),
        why=_why(tested, along, chosen),
    )


def _evidence_of(evidence: Evidence, terms: Terms, t: _Tables) -> Guarantee:
    return Guarantee(
        state="ceiling",
        reference=evidence.reference,
        split=evidence.split,
        n_train=evidence.n_train,
        n_tune=t.tune.n,
        n_certify=t.certify.n,
        groups=len(set(t.certify.groups)),
        data=evidence.data,
        date=terms.today.isoformat(),
        review_by=(terms.today + timedelta(days=terms.review_days)).isoformat(),
    )


def _looks(task: Task, terms: Terms, t: _Tables, along: Sequence[Searched]) -> tuple[Look, ...]:
    what, rows = _tested_digest(task, along), _rows_digest(t.certify)
    if any(look.certify_digest == rows and look.tested == what for look in terms.looks):
        return terms.looks
    look = Look(rows, terms.today.isoformat(), task.promise.delta, what)
    return (*terms.looks, look)


def _loss(task: Task, t: _Tables, policy: Policy) -> Estimate:
    done = np.nan_to_num(replay_array(policy, t.certify).score)
    return loss_estimate(done, t.certify.score[task.ceiling])


def loss_estimate(scores: Floats, ceiling: Floats) -> Estimate:
    """Return the mean loss against the ceiling with its 95% interval; arrays of shape (n,)."""
    found = paired_difference(scores, ceiling, seed=seed_from(digest(scores.tolist())))
    mean = float((ceiling - scores).mean())
    low = None if found.high is None else -found.high
    high = None if found.low is None else -found.low
    return Estimate(mean, low, high, len(scores), "score", found.method)


def _disagreements(policy: Policy, t: _Tables, ceiling: str) -> int:
    """Rows whose score had to be known: where the policy kept an answer other than the ceiling's.

    With a deterministic scorer equal answers lose nothing, whatever the label.
    """
    return int(np.sum(_differences(policy, t.certify, ceiling) != 0))


def _labels(task: Task, along: Sequence[Searched]) -> int | None:
    """Rows that would decide, by the test that ships, at the tune rates of the first step down.

    None when no number would: the loss on the tune rows is not under the promise.
    """
    promise = task.promise
    hopeful = [one for one in along[1:] if one.loss < promise.limit()]
    if not hopeful or not task.labels:
        return None
    one = hopeful[0]
    discordant = max(one.discordant, abs(one.loss))
    minus, plus = (discordant + one.loss) / 2, (discordant - one.loss) / 2
    return labels_needed(minus, plus, promise.limit(), promise.delta * 0.85).rows


def _why(tested: PathCertificate | None, along: Sequence[Searched], chosen: int) -> str:
    if tested is None:
        return "No policy on the tune rows is cheaper than the ceiling."
    if chosen:
        return f"Policy {chosen} of {len(along) - 1} on the path from the ceiling to the cheapest."
    if tested.certified:
        return "What could be certified saves nothing on the certify rows; the ceiling answers."
    return "No policy cheaper than the ceiling passed the test; the ceiling answers everything."


def _by_hand(task: Task, order: tuple[str, ...]) -> Policy:
    named = [tier for tier in task.tiers if tier in task.thresholds]
    levels = tuple(task.thresholds[tier] for tier in named)
    return _all_tiers(cascade((*named, task.ceiling), levels), order)


def _declared(
    task: Task, evidence: Evidence, terms: Terms, t: _Tables, policy: Policy
) -> Certified:
    guarantee = msgspec.structs.replace(
        _evidence_of(evidence, terms, t),
        state="declared",
        promise="none",
        loss=_loss(task, t, policy),
        why="Thresholds were set by hand in stepdown.toml; nothing is certified.",
    )
    return _result(task, terms, t, policy, guarantee)


def _without_ceiling(task: Task, evidence: Evidence, terms: Terms, table: Panel) -> Certified:
    """The ceiling answered nothing, so no loss can be measured: only a declared tier may serve."""
    if not task.fallback:
        raise DataError(
            f"The ceiling {task.ceiling!r} of the task {task.name!r} has no scored outcome, so no "
            "loss against it can be measured.",
            f"Run `stepdown eval {task.name}`, or name a tier in `fallback` to declare it.",
        )
    empty = _Tables(table, table, {}, (*task.tiers,), table.n)
    guarantee = msgspec.structs.replace(
        _evidence_of(evidence, terms, empty),
        state="declared",
        promise="none",
        n_tune=0,
        n_certify=0,
        why=f"The ceiling {task.ceiling!r} is unavailable for this task, so nothing can be "
        f"certified; {task.fallback!r} is declared in stepdown.toml.",
    )
    policy = _all_tiers(single(task.fallback), (*task.tiers,))
    return _result(task, terms, empty, policy, guarantee)


def _all_tiers(policy: Policy, order: tuple[str, ...]) -> Policy:
    return msgspec.structs.replace(policy, tiers=order)


def _result(
    task: Task,
    terms: Terms,
    t: _Tables,
    policy: Policy,
    guarantee: Guarantee,
    *,
    found: Sequence[Searched] = (),
    along: Sequence[Searched] = (),
    chosen: int = 0,
    tested: PathCertificate | None = None,
) -> Certified:
    done = replay_array(policy, t.certify)
    locked = LockedTask(
        policy=policy,
        contract=task.contract.digest,
        settings=terms.settings,
        guarantee=guarantee,
        tiers=terms.tiers,
        confidence=t.maps,
        expected=_expected(task, terms, t.certify, done),
        kept=_kept(done),
    )
    return Certified(
        task=task,
        locked=locked,
        found=tuple(found),
        along=tuple(along),
        chosen=chosen,
        tested=tested,
        certify_table=t.certify,
        dropped=t.dropped,
    )


def _kept(done: ReplayedArray) -> dict[str, float]:
    names, counts = np.unique([str(name) for name in done.answer], return_counts=True)
    return {str(n): float(c) / len(done.answer) for n, c in zip(names, counts, strict=True)}


def _expected(task: Task, terms: Terms, table: Panel, done: ReplayedArray) -> dict[str, Estimate]:
    """What a call will cost, take and score, on the certify rows, beside the baseline."""
    figures = {
        "cost_usd": mean_estimate(done.cost_usd, "usd"),
        "score": mean_estimate(done.score, "score"),
        "latency_s": mean_estimate(done.latency_s, "s"),
    }
    if task.ceiling in table.score:
        figures["ceiling_score"] = mean_estimate(table.score[task.ceiling], "score")
    if terms.baseline is not None and terms.baseline in table.cost_usd:
        figures["baseline_usd"] = mean_estimate(table.cost_usd[terms.baseline], "usd")
    return figures


def mean_estimate(values: Floats, unit: str) -> Estimate:
    """Return the mean of the known values with its 95% interval; the unknown are counted."""
    known = values[~np.isnan(values)]
    unknown = int(values.size - known.size)
    if not known.size:
        return Estimate(None, n=0, unit=unit, source="certify rows", unknown=unknown)
    low, high = _limits(known, unit)
    return Estimate(float(known.mean()), low, high, int(known.size), unit, "certify rows", unknown)


def _limits(known: Floats, unit: str) -> tuple[float | None, float | None]:
    """The ends of the 95% interval. Dollars and seconds have no upper limit, unlike a score:
    where all rows agree, nothing bounds what the next one may be, and the interval is unknown.
    """
    seed = seed_from(digest(known.tolist()))
    if unit == "score":
        found = mean_interval(known, seed=seed)
        return found.low, found.high
    peak = float(known.max())
    if np.ptp(known) <= 1e-9 * peak:
        return None, None
    found = mean_interval(known / peak, seed=seed, limits=(0.0, np.inf))
    if found.low is None or found.high is None:
        return None, None
    return peak * found.low, peak * found.high
