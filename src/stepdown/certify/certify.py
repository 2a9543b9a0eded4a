"""Certify one task: search on tune rows, test on certify rows, and say honestly what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from msgspec import Struct, structs, to_builtins

from stepdown.certify import auto, stating
from stepdown.certify.case import FEWEST, Case, case_of, given
from stepdown.certify.evidence import Certified, Evidence, Terms
from stepdown.certify.finishing import Finished, finish_words, finished, is_measured
from stepdown.certify.locking import locked_task, polisher_is_recorded, reaching
from stepdown.certify.looks import Spent, spend
from stepdown.certify.needed import rows_needed
from stepdown.certify.offered import Offer, offers
from stepdown.certify.promises import Measure
from stepdown.certify.search import Searched, path, searched, start
from stepdown.certify.supply import raw_signals, supplied
from stepdown.certify.tested import TestedPath, tested_path
from stepdown.certify.triage import Triage
from stepdown.certify.unsearched import declared, without_ceiling, without_tune
from stepdown.certify.worth import Verdict
from stepdown.core.derived import TRIAGE
from stepdown.core.digest import digest
from stepdown.core.policy import single
from stepdown.core.replay_array import ReplayedArray, replay_array
from stepdown.core.task import Task
from stepdown.stats.bounds import n_min
from stepdown.stats.sequence import FIRST_SHARE

_SAFER = 1.0 - FIRST_SHARE
SEARCH_ROWS = 5_000  # a score is known to half a point on them: enough to lay a path


def certify_task(task: Task, evidence: Evidence, terms: Terms) -> Certified:
    """Return the cheapest policy that keeps what the task promises, with its evidence.

    Raises:
        DataError: rows that cannot be used, that lack what the promise speaks of, or that an
            earlier look has spent.
    """
    rows = given(task, evidence)
    if not rows.answered:
        return without_ceiling(task, evidence, terms, rows.certify)
    if rows.tune.n < FEWEST and auto.suits(task, rows.certify, rows.reference):
        return without_tune(task, evidence, terms, rows)
    case = case_of(task, evidence, terms, rows)
    return declared(case) if task.thresholds else _certified(case)


def _certified(case: Case) -> Certified:
    laid, n_tune = search(case), case.tune.n
    case, along = laid.case, laid.along
    promises = case.measures()
    tested, spent = _test(case, promises, along)
    chosen = _pick(case, tested, along)
    done = _replayed(case, along[chosen])
    sent = _finished(case, along[chosen])
    guarantee = stating.stated(
        stating.base(case.evidence, case.terms, n_tune, case.table),
        case.task,
        case.rows,
        promises,
        done,
        spent,
        certified=chosen > 0,
        method=tested.method if tested else "nothing cheaper than the ceiling to test",
        assumptions=(*((tested.assumptions,) if tested else ()), *case.said, *sent.said),
        delta=case.delta,
    )
    ceiling = done if not chosen else _replayed(case, along[0])
    guarantee = structs.replace(
        guarantee,
        labels_needed=None if chosen else _needed(case, along),
        why=stating.why(case.task, tested, len(along), chosen, ceiling, case.rows, promises),
    )
    locked = locked_task(
        case.task,
        case.terms,
        case.maps,
        sent.made.policy,
        {**along[chosen].derived, **sent.made.derived},
        guarantee,
        case.table,
        done,
    )
    foretold = laid.triage is not None and _foretells(along[chosen])
    return Certified(
        task=case.task,
        locked=locked,
        triage=laid.triage if foretold else None,
        routing=laid.routing,
        found=laid.found,
        along=along,
        chosen=chosen,
        tested=tested,
        certify_table=case.table,
        dropped=case.dropped,
        warnings=case.warnings,
    )


class Search(Struct, frozen=True):
    """What was found on tune rows: every policy that was replayed, and the path to test.

    `case` holds the certify rows, and the tune rows on which the path was measured (a sample where
    there were many), with every signal that the path reads.
    """

    case: Case
    found: tuple[Searched, ...]
    along: tuple[Searched, ...]
    triage: Triage | None = None
    routing: Verdict | None = None


def search(case: Case) -> Search:
    """Search the tune rows, and lay the path from the ceiling to the cheapest policy.

    Of many tune rows a sample is searched, and the path that comes of it is measured on all,
    unless it reads signals that cost more to make than they tell.
    """
    made = offers(case, case.tune_sample(SEARCH_ROWS))
    sample = seen = made.table
    promises = case.tune_measures(sample)
    found = [
        _expected(one, searched(sample, one.policy, one.derived, promises)) for one in made.all
    ]
    allowed = [one for one in found if _within(case.task, one)]
    alone = searched(
        sample, reaching(single(case.task.ceiling), case.task, case.order), {}, promises
    )
    along = path(allowed, alone)
    wanted = raw_signals((one.policy, one.derived) for one in along)
    if sample.n < case.tune.n and wanted <= set(case.tune.signals):
        seen, promises = case.tune, case.tune_measures()
        again = [searched(case.tune, one.policy, one.derived, promises) for one in along]
        along = path(again[1:], again[0])
    rows = structs.replace(case.rows, table=supplied(case.table, wanted, made.sources))
    ready = structs.replace(case, tune=supplied(seen, wanted, made.sources), rows=rows)
    return Search(ready, tuple(found), tuple(along), made.sources.triage, made.routing)


def _expected(offer: Offer, one: Searched) -> Searched:
    """Correct what was seen on the rows of a fit by what it scored on rows that it had not seen."""
    if offer.score is None:
        return one
    luck = one.score - offer.score
    standings = tuple(
        structs.replace(standing, shortfall=standing.shortfall + luck) for standing in one.standings
    )
    return structs.replace(one, score=offer.score, loss=one.loss + luck, standings=standings)


def _foretells(one: Searched) -> bool:
    raw = raw_signals([(one.policy, one.derived)])
    return any(name.startswith(f"{TRIAGE}.") for name in raw)


class _Sent(Struct, frozen=True):
    """The policy as it is locked, polish and all, and what must be said of the polish."""

    made: Finished
    said: tuple[str, ...]


def _finished(case: Case, one: Searched) -> _Sent:
    """Add the task's polish, where the outcomes do not hold it already."""
    task = case.task
    made = finished(one.policy, task, can_polish=not polisher_is_recorded(task, case.terms))
    words = finish_words(task, made, measured=is_measured(made, case.table))
    return _Sent(made, (words,) if words else ())


def _within(task: Task, one: Searched) -> bool:
    """Leave out what on the tune rows costs more, or takes longer, than is promised."""
    limits = (
        (task.promise.max_cost_usd, one.cost_usd),
        (task.promise.max_latency_s, one.latency_s),
    )
    return all(limit is None or (seen is not None and seen <= limit) for limit, seen in limits)


def _test(
    case: Case, promises: Sequence[Measure], along: Sequence[Searched]
) -> tuple[TestedPath | None, Spent]:
    terms = case.terms
    if len(along) < 2:
        return None, Spent(terms.looks, case.delta, ())
    spent = spend(
        terms.looks,
        case.table.query_ids,
        tested=_tested_digest(case.task, along, terms.tested_before),
        delta=case.delta,
        today=terms.today.isoformat(),
        allow_relook=terms.allow_relook,
        task=case.task.name,
    )
    first, second = starts(case, along)
    return tested_path(along, case.rows, promises, case.delta, first, second), spent


def _tested_digest(task: Task, along: Sequence[Searched], before: str = "") -> str:
    """Name what is tested, to six digits: another processor rounds the last ones differently, and
    the same test of the same rows must stay the same look.
    """
    plain = to_builtins([[one.policy, one.derived] for one in along])
    return digest([task.promise, _rounded(plain), *([before] if before else [])])


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in value.items()}
    return [_rounded(part) for part in value] if isinstance(value, list | tuple) else value


def starts(case: Case, along: Sequence[Searched]) -> tuple[int, int | None]:
    """Return where on the path to start testing, and the safer start, if rows are expected there.

    Rows that count are expected as on the tune rows; where too few could pass at all, the first
    start has all of delta.
    """
    first = max(1, start(along, case.tune.n, case.rows.index.size))
    second = first // 2
    if second < 1:
        return first, None
    for measure, standing in zip(case.measures(), along[second].standings, strict=True):
        rows = standing.rows / case.tune.n * case.rows.index.size
        if measure.kept_only and rows < n_min(1.0 - measure.epsilon, _SAFER * case.delta):
            return first, None
    return first, second


def _pick(case: Case, tested: TestedPath | None, along: Sequence[Searched]) -> int:
    """Return the certified policy that is cheapest on the certify rows; 0 is the ceiling itself.

    The sequence keeps its error chance for all policies that pass together, so any of them may be
    taken, and one that saves nothing is not. Where a cost is unknown the furthest on the path wins.
    What is promised of cost and latency decides among those that passed.
    """
    if tested is None or not tested.certified:
        return 0
    passed = list(tested.passed)
    ceiling = float(_replayed(case, along[0]).cost_usd.mean())
    costs = {place: tested.policies[place].cost_usd for place in passed}
    if np.isnan([ceiling, *costs.values()]).any():
        ranked = sorted(passed, reverse=True)
    else:
        ranked = sorted((p for p in passed if costs[p] < ceiling), key=lambda p: costs[p])
    return next((place for place in ranked if _affordable(case, along[place])), 0)


def _affordable(case: Case, one: Searched) -> bool:
    promise = case.task.promise
    if promise.max_cost_usd is None and promise.max_latency_s is None:
        return True
    return stating.within_limits(stating.amounts(case.task, _replayed(case, one)))


def _replayed(case: Case, one: Searched) -> ReplayedArray:
    return replay_array(one.policy, case.table, one.derived)


def _needed(case: Case, along: Sequence[Searched]) -> int | None:
    promises = case.tune_measures()
    clustered = case.rows.codes is not None
    return rows_needed(promises, along, case.tune, case.delta, clustered=clustered)
