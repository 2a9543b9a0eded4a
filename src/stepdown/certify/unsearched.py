"""Lock what was not searched: thresholds set by hand, a ceiling that is down, AUTO."""

from __future__ import annotations

from msgspec import structs

from stepdown.certify import auto, stating
from stepdown.certify.case import Case, Given, binary_scores
from stepdown.certify.evidence import Certified, Evidence, Terms
from stepdown.certify.finishing import finish_words, finished, is_measured
from stepdown.certify.locking import all_tiers, locked_task, polisher_is_recorded, reaching
from stepdown.certify.looks import SHOWN, rows_digest, spend
from stepdown.core.digest import digest, seed_from
from stepdown.core.lock import LockedTask
from stepdown.core.policy import Policy, cascade, single
from stepdown.core.replay_array import Panel, replay_array
from stepdown.core.task import Task
from stepdown.errors import DataError


def declared(case: Case) -> Certified:
    """Lock thresholds that a person set. Nothing is tested, and showing the rows is recorded."""
    task, terms = case.task, case.terms
    policy = all_tiers(_by_hand(task, case.order), case.order)
    done = replay_array(policy, case.table)
    spent = spend(
        terms.looks,
        case.table.query_ids,
        tested=SHOWN,
        delta=0.0,
        today=terms.today.isoformat(),
        allow_relook=True,
        task=task.name,
    )
    guarantee = structs.replace(
        stating.base(case.evidence, terms, case.tune.n, case.table),
        state="declared",
        promise="none",
        loss=stating.loss_of(task, done, case.table),
        looks=spent.looks,
        why="Thresholds were set by hand in stepdown.toml; nothing is certified.",
    )
    sent = finished(policy, task, can_polish=not polisher_is_recorded(task, terms))
    words = finish_words(task, sent, measured=is_measured(sent, case.table))
    guarantee = structs.replace(guarantee, assumptions=(words,) if words else ())
    locked = locked_task(
        task, terms, case.maps, sent.policy, sent.derived, guarantee, case.table, done
    )
    return structs.replace(_alone(task, locked, case.table, case.dropped), warnings=case.warnings)


def _by_hand(task: Task, order: tuple[str, ...]) -> Policy:
    """Return the cascade of the tiers that got a threshold, and the ceiling."""
    named = [tier for tier in task.tiers if tier in task.thresholds and tier != task.ceiling]
    levels = tuple(task.thresholds[tier] for tier in named)
    return cascade((*named, task.ceiling), levels)


def without_ceiling(task: Task, evidence: Evidence, terms: Terms, table: Panel) -> Certified:
    """Lock a declared tier: the ceiling answered nothing, so no loss can be measured.

    Raises:
        DataError: no tier is declared for that.
    """
    if not task.fallback:
        raise DataError(
            f"The ceiling {task.ceiling!r} of the task {task.name!r} has no scored outcome, so no "
            "loss against it can be measured.",
            f"Run `stepdown eval {task.name}`, or name a tier in `fallback` to declare it.",
        )
    guarantee = structs.replace(
        stating.base(evidence, terms, 0, table),
        state="declared",
        promise="none",
        n_certify=0,
        why=f"The ceiling {task.ceiling!r} is unavailable for this task, so nothing can be "
        f"certified; {task.fallback!r} is declared in stepdown.toml.",
    )
    policy = reaching(single(task.fallback), task, task.tiers)
    locked = locked_task(task, terms, {}, policy, {}, guarantee, table, replay_array(policy, table))
    return _alone(task, locked, table, table.n)


def without_tune(task: Task, evidence: Evidence, terms: Terms, rows: Given) -> Certified:
    """Certify one tier's threshold without tune rows, by AUTO."""
    table = rows.certify
    evidence = structs.replace(evidence, reference=rows.reference)
    delta, said = stating.share_of_delta(task, terms)
    made = auto.auto(
        task,
        table,
        evidence.reference,
        delta,
        seed_from(rows_digest(table.query_ids)),
        binary=binary_scores(task, evidence, (table,)),
        clustered=evidence.clustered,
    )
    policy, sure = reaching(made.policy, task, task.tiers), made.found.certified
    spent = spend(
        terms.looks,
        table.query_ids,
        tested=digest([task.promise, "AUTO", made.maps]),
        delta=delta,
        today=terms.today.isoformat(),
        allow_relook=terms.allow_relook,
        task=task.name,
    )
    done = replay_array(policy, made.table)
    guarantee = stating.stated(
        stating.base(evidence, terms, 0, made.table),
        task,
        made.rows,
        (made.measure,),
        done,
        spent,
        certified=sure,
        method=made.found.method,
        assumptions=(made.rows.assumptions, "The start was found without tune rows (AUTO).", *said),
        delta=delta,
    )
    said_why = f"{made.found.kept} of {made.found.n} rows are kept." if sure else "Nothing passed."
    guarantee = structs.replace(guarantee, bound=made.found.lower_bound, why=said_why)
    locked = locked_task(task, terms, made.maps, policy, {}, guarantee, made.table, done)
    return _alone(task, locked, made.table, rows.dropped)


def _alone(task: Task, locked: LockedTask, table: Panel, dropped: int) -> Certified:
    """Return what was locked without a search."""
    return Certified(
        task=task,
        locked=locked,
        found=(),
        along=(),
        chosen=0,
        tested=None,
        certify_table=table,
        dropped=dropped,
    )
