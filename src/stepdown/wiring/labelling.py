"""`label`: ask a person only about what the tests need to know, and say when it is decided."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
from msgspec import Struct

from stepdown.adapters.tables.judgement_files import JudgementFile
from stepdown.certify.case import case_of, given
from stepdown.certify.certify import search, starts
from stepdown.certify.question import Delivered, delivered, labels_from, question_of
from stepdown.certify.search import Searched
from stepdown.core.digest import digest
from stepdown.core.judgement import Judgement, answers_to_judge, settle
from stepdown.core.outcome import Outcome, by_query
from stepdown.core.replay_array import Panel, replay_array
from stepdown.core.report import Claim, Column, Document, Prose, Section, Table
from stepdown.core.task import Task
from stepdown.errors import DataError, InputError
from stepdown.stats.labelling import Question, Standing, next_rows, standing
from stepdown.stats.labels import Labels
from stepdown.wiring.certifying import Gathered, evidence_of, gather, terms_of, with_pool
from stepdown.wiring.evaluating import Watch
from stepdown.wiring.pool import pool_outcomes, settled
from stepdown.wiring.workspace import Workspace

Which = Literal["next", "dispute", "second"]


class Card(Struct, frozen=True, kw_only=True):
    """One question to a person. `answers` are (key, text) in an order that tells nothing."""

    query_id: str
    text: str
    answers: tuple[tuple[str, str], ...]
    why: str


class Facts(Struct, frozen=True, kw_only=True):
    """What is asked about: the rows, what every policy delivers there, and the test to come.

    `gold` are the labels of rows that came with a reference; `kept` is the share of rows that each
    policy keeps from the ceiling.
    """

    task: Task
    question: Question
    made: Delivered
    query_ids: tuple[str, ...]
    outcomes: tuple[Outcome, ...]
    gold: Labels
    kept: tuple[float, ...]
    pool: int


class Labelling:
    """One person's session. Every judgement is on disk before the next question is asked."""

    def __init__(
        self,
        facts: Facts,
        file: JudgementFile,
        by: str,
        now: Callable[[], str] = lambda: datetime.now(UTC).isoformat(timespec="seconds"),
    ) -> None:
        self.facts = facts
        self.by = by
        self._file = file
        self._now = now
        self._rows = by_query(facts.outcomes)
        self._said = list(file.read())
        self._skipped: list[str] = []
        self._mine: list[str] = []

    @property
    def disputed(self) -> tuple[str, ...]:
        """Queries on which two people disagree; they count as unlabelled."""
        mine = set(self.facts.query_ids)
        return tuple(query for query in settle(self._said).disputed if query in mine)

    @property
    def labelled(self) -> int:
        """Rows of the question that people have judged, and agree on."""
        mine = set(self.facts.query_ids)
        return len(mine & set(settle(self._said).verdicts))

    def labels(self) -> Labels:
        """Return what is known now, as the test reads it."""
        verdicts = settle(self._said).verdicts
        told = labels_from(self.facts.made, self.facts.query_ids, verdicts)
        gold = self.facts.gold
        return Labels(
            gold.known | told.known, np.where(gold.known, gold.difference, told.difference)
        )

    def standing(self) -> Standing:
        """Say where the question stands."""
        return standing(self.facts.question, self.labels())

    def draw(self, which: Which) -> Card | None:
        """Return the next question of a kind, None when there is none.

        `next`: what decides soonest; `dispute`: what two people judged differently; `second`:
        what others judged and this person has not seen.
        """
        return {"next": self.next, "dispute": self._dispute, "second": self._second}[which]()

    def next(self) -> Card | None:
        """Return the next question, None when the verdict is decided or all was asked."""
        wanted = next_rows(self.facts.question, self.labels(), batch=len(self.facts.query_ids))
        for row in wanted.rows.tolist():
            query = self.facts.query_ids[row]
            if query not in self._skipped and not self._asked_already(query):
                return self._card(query, row, wanted.reason)
        return None

    def _dispute(self) -> Card | None:
        return self._first(self.disputed, "two people disagree")

    def _second(self) -> Card | None:
        others = dict.fromkeys(one.query_id for one in self._said if one.by != self.by)
        unseen = [query for query in others if not self._asked_already(query)]
        return self._first(unseen, "judged by somebody else before")

    def _first(self, queries: Iterable[str], why: str) -> Card | None:
        places = {query: row for row, query in enumerate(self.facts.query_ids)}
        for query in queries:
            if query in places and query not in self._skipped:
                return self._card(query, places[query], why)
        return None

    def _asked_already(self, query: str) -> bool:
        """A dispute is settled by `--resolve`, not by asking the same person again."""
        return any(one.query_id == query and one.by == self.by for one in self._standing_mine())

    def _standing_mine(self) -> list[Judgement]:
        latest = {one.query_id: one for one in self._said if one.by == self.by}
        return [one for one in latest.values() if one.right or one.wrong]

    def _card(self, query: str, row: int, why: str) -> Card:
        wanted = set(self.facts.made.keys_of(row))
        shown = answers_to_judge(self._rows[query].values())
        answers = sorted(
            ((key, text) for key, text in shown.items() if key in wanted),
            key=lambda pair: digest([query, pair[0]]),
        )
        prompts = [one.prompt for one in self._rows[query].values() if one.prompt is not None]
        text = prompts[0] if prompts else ""
        return Card(query_id=query, text=text, answers=tuple(answers), why=why)

    def say(self, card: Card, right: Sequence[str], *, resolves: bool = False) -> None:
        """Keep a judgement: the answers named are right, the card's others are wrong."""
        named = set(right)
        self._keep(
            Judgement(
                query_id=card.query_id,
                by=self.by,
                at=self._now(),
                right=tuple(key for key, _ in card.answers if key in named),
                wrong=tuple(key for key, _ in card.answers if key not in named),
                why=card.why,
                resolves=resolves,
            )
        )
        self._mine.append(card.query_id)

    def skip(self, card: Card) -> None:
        """Leave a question for later; it counts as full loss until somebody answers it."""
        self._skipped.append(card.query_id)

    def undo(self) -> str | None:
        """Take this session's last judgement back; return its query, None when there is none."""
        if not self._mine:
            return None
        query = self._mine.pop()
        self._keep(Judgement(query_id=query, by=self.by, at=self._now(), why="taken back"))
        return query

    def _keep(self, one: Judgement) -> None:
        self._file.append(one)
        self._said.append(one)


async def label_facts(workspace: Workspace, task: Task, watch: Watch | None = None) -> Facts:
    """Run the tiers on the pool, lay the path on tune rows, and return what labels shall decide.

    Raises:
        InputError: a promise that labels cannot help.
        ConfigError: no pool is configured.
        DataError: too few tune rows, or nothing cheaper than the ceiling to decide about.
    """
    refuse_unhelped(task)
    gathered = await gather(workspace, task, watch)
    pool = await pool_outcomes(workspace, task, watch)
    if not gathered.pool:
        gathered = with_pool(task, gathered, pool, settled(workspace, task))
    return await asyncio.to_thread(_facts, workspace, task, gathered, pool)


def _facts(workspace: Workspace, task: Task, gathered: Gathered, pool: Sequence[Outcome]) -> Facts:
    evidence, terms = evidence_of(workspace, task, gathered), terms_of(workspace, task)
    case = case_of(task, evidence, terms, given(task, evidence))
    along = search(case).along
    if len(along) < 2:
        raise DataError(
            f"On the tune rows of {task.name!r} no policy is cheaper than the ceiling.",
            "There is nothing that labels could decide; try other tiers.",
        )
    table = case.table if case.rows.codes is not None else case.table.take(case.rows.index)
    made = delivered(along, table)
    groups = None if case.rows.codes is None else [str(code) for code in case.rows.codes]
    first, second = starts(case, along)
    return Facts(
        task=task,
        question=question_of(task, made, first, second, groups, case.rows.seed, binary=case.binary),
        made=made,
        query_ids=tuple(table.query_ids),
        outcomes=tuple(pool),
        gold=_gold(along, table, {one.query_id for one in pool}),
        kept=tuple(_kept(one, table, task.ceiling) for one in along),
        pool=len({one.query_id for one in pool}),
    )


def _gold(along: Sequence[Searched], table: Panel, pool: set[str]) -> Labels:
    """Return the labels of rows that came with a reference."""
    known = np.array([query not in pool for query in table.query_ids])
    scores = np.array(
        [np.nan_to_num(replay_array(one.policy, table, one.derived).score) for one in along]
    )
    return Labels(known, scores - scores[0])


def _kept(one: Searched, table: Panel, ceiling: str) -> float:
    return float(1 - replay_array(one.policy, table, one.derived).answered_by(ceiling).mean())


def refuse_unhelped(task: Task) -> None:
    """Refuse a task whose promise needs other labels than of disagreements, or none.

    Raises:
        InputError: says what to do instead.
    """
    main = task.promise.main()
    if main in ("min_agreement", "max_disagreement"):
        raise InputError(
            f"{main} compares answers with the ceiling's own; no label can change it.",
            "Run `stepdown certify`.",
        )
    if main != "max_loss" or task.promise.recall:
        named = " and ".join([main, *(["recall"] if task.promise.recall else [])])
        raise InputError(
            f"{named} needs rows that were labelled whatever the tiers answered.",
            "Put labelled rows into [data]; `stepdown certify plan` says how many.",
        )


def summary(desk: Labelling, now: Standing) -> dict[str, Any]:
    """Return where the question stands as plain JSON."""
    facts = desk.facts
    return {
        "task": facts.task.name,
        "max_loss": facts.question.epsilon,
        "delta": facts.question.delta,
        "rows": facts.question.n,
        "pool": facts.pool,
        "decided": now.decided,
        "labels": desk.labelled,
        "labels_left_at_most": now.labels_left_at_most,
        "loss_at_worst": now.bound_worst,
        "loss_at_best": now.bound_best,
        "certified_keeps": facts.kept[now.certified],
        "possible_keeps": facts.kept[now.possible],
        "disputed": list(desk.disputed),
    }


def document(desk: Labelling, now: Standing) -> Document:
    """Return where the question stands as a report."""
    facts = desk.facts
    rows = (
        ("rows of the test", Claim(facts.question.n, "count")),
        ("of these in the pool, without a reference", Claim(facts.pool, "count")),
        ("labelled by people", Claim(desk.labelled, "count")),
        ("labels left at most", Claim(now.labels_left_at_most, "count")),
        ("loss, if every missing label is a loss", Claim(now.bound_worst, "score")),
        ("loss, at best", Claim(now.bound_best, "score")),
        ("cheaper tiers keep, certified now", Claim(facts.kept[now.certified], "share")),
        ("cheaper tiers keep, still possible", Claim(facts.kept[now.possible], "share")),
        ("disputed between people", Claim(len(desk.disputed), "count")),
    )
    columns = (Column("figure"), Column("value", numeric=True))
    table = Table(title=f"Labels of {facts.task.name}", columns=columns, rows=rows)
    return Document(title="Label", sections=(Section(facts.task.name, (_said(now), table)),))


def _said(now: Standing) -> Prose:
    if not now.decided:
        return Prose("Not decided yet; the same command goes on from here.", "warn")
    if now.certified:
        return Prose("Decided: run `stepdown certify` to write it into the lock.", "good")
    return Prose("Decided: no label can certify a cheaper policy any more.", "bad")


def check_name(by: str) -> str:
    """Return a labeller's name.

    Raises:
        InputError: it is empty or too long.
    """
    name = by.strip()
    if not name or len(name) > 60 or not name.isprintable():
        raise InputError(f"{by!r} is not a name to sign labels with.", "Pass --by NAME.")
    return name
