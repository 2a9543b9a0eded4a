"""`label`: ask a person only about what the test needs to know, and say when it is decided."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Literal

import numpy as np
from msgspec import Struct

from stepdown.adapters.tables.judgement_files import JudgementFile
from stepdown.certify.question import labels_from
from stepdown.core.digest import digest
from stepdown.core.judgement import Judgement, answers_to_judge, settle
from stepdown.core.outcome import by_query
from stepdown.errors import InputError
from stepdown.stats.labelling import Standing, next_rows, standing
from stepdown.stats.labels import Labels
from stepdown.wiring.label_facts import Facts

Which = Literal["next", "dispute", "second"]
LONGEST_NAME = 60


class Card(Struct, frozen=True, kw_only=True):
    """One question to a person. `answers` are (key, text) in an order that tells nothing."""

    query_id: str
    text: str
    answers: tuple[tuple[str, str], ...]
    why: str


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
        self._places = {query: row for row, query in enumerate(facts.query_ids)}
        self._rows = by_query(facts.outcomes)
        self._said = list(file.read())
        self._skipped: set[str] = set()
        self._mine: list[tuple[str, Judgement | None]] = []

    @property
    def disputed(self) -> tuple[str, ...]:
        """Queries on which two people disagree; they count as unlabelled."""
        return tuple(query for query in settle(self._said).disputed if query in self._places)

    @property
    def labelled(self) -> int:
        """Rows of the question that people have judged, and agree on."""
        return len(self._places.keys() & settle(self._said).verdicts.keys())

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
        return {"next": self._next, "dispute": self._dispute, "second": self._second}[which]()

    def _next(self) -> Card | None:
        wanted = next_rows(self.facts.question, self.labels(), batch=len(self.facts.query_ids))
        mine = self._spoken(self.by)
        queries = (self.facts.query_ids[row] for row in wanted.rows.tolist())
        # A dispute is settled by `--resolve`, not by asking the same person again.
        return self._first((query for query in queries if query not in mine), wanted.reason)

    def _dispute(self) -> Card | None:
        return self._first(self.disputed, "two people disagree")

    def _second(self) -> Card | None:
        others = dict.fromkeys(one.query_id for one in self._said if one.by != self.by)
        told, mine = settle(self._said), self._spoken(self.by)
        open_ = {*told.verdicts, *told.disputed} - mine
        return self._first((q for q in others if q in open_), "somebody else has judged it")

    def _first(self, queries: Iterable[str], why: str) -> Card | None:
        for query in queries:
            if query in self._rows and query in self._places and query not in self._skipped:
                return self._card(query, why)
        return None

    def _spoken(self, by: str) -> set[str]:
        """Return the queries on which a person's word stands."""
        latest = {one.query_id: one for one in self._said if one.by == by}
        return {query for query, one in latest.items() if one.right or one.wrong}

    def _card(self, query: str, why: str) -> Card:
        wanted = set(self.facts.made.keys_of(self._places[query]))
        rows = self._rows[query].values()
        answers = sorted(
            ((key, text) for key, text in answers_to_judge(rows).items() if key in wanted),
            key=lambda pair: digest([query, pair[0]]),
        )
        text = next((one.prompt for one in rows if one.prompt is not None), "")
        return Card(query_id=query, text=text, answers=tuple(answers), why=why)

    def say(self, card: Card, right: Sequence[str], *, resolves: bool = False) -> None:
        """Keep a judgement: the answers named are right, the card's others are wrong."""
        named, query = set(right), card.query_id
        earlier = [one for one in self._said if one.query_id == query and one.by == self.by]
        self._keep(
            Judgement(
                query_id=query,
                by=self.by,
                at=self._now(),
                right=tuple(key for key, _ in card.answers if key in named),
                wrong=tuple(key for key, _ in card.answers if key not in named),
                why=card.why,
                resolves=resolves,
            )
        )
        self._mine.append((query, earlier[-1] if earlier else None))

    def skip(self, card: Card) -> None:
        """Leave a question for later; it counts as full loss until somebody answers it."""
        self._skipped.add(card.query_id)

    def undo(self) -> str | None:
        """Take this session's last judgement back; return its query, None when there is none.

        What the person had said of it before this session holds again.
        """
        if not self._mine:
            return None
        query, earlier = self._mine.pop()
        gone = Judgement(query_id=query, by=self.by, at=self._now(), why="taken back")
        self._keep(gone if earlier is None else earlier)
        return query

    def reread(self) -> None:
        """Read what was said since, by others or by this person elsewhere."""
        self._said = list(self._file.read())

    def draw_named(self, query: str) -> Card | None:
        """Return the question of a query, None where the pool has none."""
        known = query in self._rows and query in self._places
        return self._card(query, "asked on a page") if known else None

    def take_back(self, since: str) -> str | None:
        """Take back this person's last judgement from a time on, whatever session it was of.

        `since` is an ISO time. What the person had said before it holds again.
        """
        mine = [one for one in self._said if one.by == self.by]
        latest = {one.query_id: (one.at, place) for place, one in enumerate(mine)}
        spoken = [
            (at, place)
            for at, place in latest.values()
            if at >= since and (mine[place].right or mine[place].wrong)
        ]
        if not spoken:
            return None
        place = max(spoken)[1]
        query = mine[place].query_id
        before = [one for one in mine[:place] if one.query_id == query]
        gone = Judgement(query_id=query, by=self.by, at=self._now(), why="taken back")
        self._keep(before[-1] if before else gone)
        return query

    def _keep(self, one: Judgement) -> None:
        self._file.append(one)
        self._said.append(one)


def check_name(by: str) -> str:
    """Return a labeller's name.

    Raises:
        InputError: it is empty, too long, or not printable.
    """
    name = by.strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise InputError(
            f"{by!r} is not a name to sign labels with.",
            f"Pass --by NAME: 1 to {LONGEST_NAME} printable characters.",
        )
    return name
