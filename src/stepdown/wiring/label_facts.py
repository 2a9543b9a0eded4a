"""What labels shall decide about a task: the rows, what every policy delivers there, the test."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
from msgspec import Struct

from stepdown.certify.case import Case, case_of, given
from stepdown.certify.certify import search, starts
from stepdown.certify.question import Delivered, delivered, question_of
from stepdown.certify.search import Searched
from stepdown.core.outcome import Outcome
from stepdown.core.replay_array import Panel, replay_array
from stepdown.core.task import Task
from stepdown.errors import DataError, InputError
from stepdown.stats.labelling import Question
from stepdown.stats.labels import Labels
from stepdown.wiring.certifying import (
    Gathered,
    evidence_of,
    gather,
    terms_of,
    unhelped,
    with_pool,
)
from stepdown.wiring.evaluating import Watch
from stepdown.wiring.pool import pool_of
from stepdown.wiring.workspace import Workspace


class Facts(Struct, frozen=True, kw_only=True):
    """What is asked about.

    `outcomes` are those of the pool. `gold` are the labels of rows that came with a reference;
    `kept` is the share of rows that each policy keeps from the ceiling; `pool` counts rows of the
    test that came without a reference, `left_out` those that resemble rows which chose. `alone`:
    an earlier test has spent the rows with a reference.
    """

    task: Task
    question: Question
    made: Delivered
    query_ids: tuple[str, ...]
    outcomes: tuple[Outcome, ...]
    gold: Labels
    kept: tuple[float, ...]
    pool: int
    left_out: int = 0
    alone: bool = False


async def label_facts(workspace: Workspace, task: Task, watch: Watch | None = None) -> Facts:
    """Run the tiers on the pool, lay the path on tune rows, and return what labels shall decide.

    Raises:
        InputError: a promise that labels cannot help.
        ConfigError: no pool is configured.
        DataError: too few tune rows, or nothing cheaper than the ceiling to decide about.
    """
    refuse_unhelped(task)
    pool_of(workspace, task)
    found = await gather(workspace, task, watch)
    if not found.pool:
        found = await with_pool(workspace, task, found, watch)
    return await asyncio.to_thread(_facts, workspace, task, found)


def _facts(workspace: Workspace, task: Task, found: Gathered) -> Facts:
    evidence, terms = evidence_of(workspace, task, found), terms_of(workspace, task)
    rows = given(task, evidence)
    if not rows.answered:
        raise DataError(
            f"The ceiling {task.ceiling!r} answered no row of the test.",
            "See why it is unavailable with `stepdown eval`.",
        )
    case = case_of(task, evidence, terms, rows)
    _refuse_agreement(case)
    laid = search(case)
    if len(laid.along) < 2:
        raise DataError(
            f"On the tune rows of {task.name!r} no policy is cheaper than the ceiling.",
            "There is nothing that labels could decide; try other tiers.",
        )
    return _of_case(laid.case, laid.along, found)


def _of_case(case: Case, along: Sequence[Searched], found: Gathered) -> Facts:
    rows, table = case.rows, case.table
    if rows.codes is None:
        table = table.take(rows.index)
    made = delivered(along, table)
    first, second = starts(case, along)
    question = question_of(case, made, first, second)
    assert not isinstance(found.certify, Panel)
    return Facts(
        task=case.task,
        question=question,
        made=made,
        query_ids=tuple(table.query_ids),
        outcomes=tuple(one for one in found.certify if one.query_id in found.pool),
        gold=_gold(along, table, found.pool),
        kept=tuple(_kept(one, table, case.task.ceiling) for one in along),
        pool=len(found.pool & set(table.query_ids)),
        left_out=found.left_out,
        alone=found.alone,
    )


def _gold(along: Sequence[Searched], table: Panel, pool: frozenset[str]) -> Labels:
    """Return the labels of rows that came with a reference."""
    known = np.array([query not in pool for query in table.query_ids])
    scores = np.array(
        [np.nan_to_num(replay_array(one.policy, table, one.derived).score) for one in along]
    )
    return Labels(known, scores - scores[0])


def _kept(one: Searched, table: Panel, ceiling: str) -> float:
    return float(1 - replay_array(one.policy, table, one.derived).answered_by(ceiling).mean())


def _refuse_agreement(case: Case) -> None:
    if case.reference == "ceiling":
        raise InputError(
            f"The ceiling {case.task.ceiling!r} is right on every labelled row and no promise is "
            "written, so agreement with it is what certify tests; no label can change that.",
            "Run `stepdown certify`, or write promise = { max_loss = 0.02 } to label against it.",
        )


def refuse_unhelped(task: Task) -> None:
    """Refuse a task whose promise needs other labels than of disagreements, or none.

    Raises:
        InputError: says what to do instead.
    """
    if task.thresholds:
        raise InputError(
            f"The thresholds of {task.name!r} are set by hand: nothing is tested, so no label "
            "decides anything.",
            "Remove `thresholds` from the task to certify it.",
        )
    named = unhelped(task)
    if named in ("min_agreement", "max_disagreement"):
        raise InputError(
            f"{named} compares answers with the ceiling's own; no label can change it.",
            "Run `stepdown certify`.",
        )
    if named:
        raise InputError(
            f"{named} needs rows that were labelled whatever the tiers answered.",
            "Put labelled rows into [data]; `stepdown certify plan` says how many.",
        )
