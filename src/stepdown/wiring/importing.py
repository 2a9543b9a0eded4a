"""`eval import`: build an eval set out of logs, tables or frames, and say what became of each row.

The sources are read twice or three times, never held: one pass surveys, one fetches the texts that
must be compared, one writes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import IO, Any, Literal

import msgspec
from msgspec import Struct

from stepdown.adapters.tables.atomic import replacing
from stepdown.core.task import Task
from stepdown.errors import DataError
from stepdown.evals.candidates import Candidate, Judged, TurnedDown, put
from stepdown.evals.choosing import (
    KINDS,
    LEAK,
    NEAR,
    NOT_DRAWN,
    TAKEN,
    Asked,
    Chosen,
    Ints,
    Leak,
    Training,
    choose,
)
from stepdown.evals.dataset import Columns
from stepdown.evals.import_card import Card, Compared, Drawn, ReferenceIs, SourceCard
from stepdown.evals.survey import Survey
from stepdown.wiring.import_sources import Source, Watch, file_digest

By = Literal["label", "segment"]
MOST_LABELS = 200  # references are counted as labels while they are no more than this


class Imported(Struct, frozen=True, kw_only=True):
    """An eval set that was written, and what was left out of it.

    `refused_path` holds every row that was refused; None when none was. `leaks` name both rows.
    """

    path: Path
    card_path: Path
    refused_path: Path | None
    card: Card
    examples: tuple[TurnedDown, ...]
    leaks: tuple[Leak, ...]
    warnings: tuple[str, ...] = ()

    @property
    def read(self) -> int:
        """How many rows were looked at."""
        return sum(source.rows for source in self.card.sources)


class Plan(Struct, frozen=True, kw_only=True):
    """What an import is to make: the columns of the set, how rows are chosen, what they are."""

    task: Task | None
    to: Path
    columns: Columns
    reference: str
    asked: Asked
    by: By | None = None
    reference_is: ReferenceIs | None = None
    overwrite: bool = False
    unknown_training: tuple[str, ...] = ()


def import_set(
    sources: Sequence[Source],
    plan: Plan,
    *,
    today: date,
    training: Training = (),
    watch: Watch | None = None,
) -> Imported:
    """Write an eval set, its card and the rows that were refused; all of them or none.

    Raises:
        DataError: the set exists already, no row can be used, or a source cannot be read.
    """
    check_target(plan)
    digests = [source.digest() for source in sources]
    survey = Survey(plan.by)
    survey.add_all(_all(sources, watch))
    read = [(source.rows, dict(source.other)) for source in sources]
    if not len(survey):
        raise _nothing(survey, read)
    chosen = choose(survey, plan.asked, lambda rows: _texts(sources, rows), training)
    writing = _Writing(plan, survey, chosen)
    refused_path = beside(plan.to, "refused.jsonl")
    with ExitStack() as stack:
        card_file = stack.enter_context(replacing(beside(plan.to, "card.json")))
        refused_file = stack.enter_context(replacing(refused_path))
        set_file = stack.enter_context(replacing(plan.to))
        with set_file.open("wb") as rows, refused_file.open("wb") as refused:
            writing.run(_all(sources, watch), rows, refused)
        cards = tuple(map(_source_card, sources, digests, read))
        card = _card(writing, cards, _reference_is(plan, sources), today, file_digest(set_file))
        card_file.write_bytes(msgspec.json.format(msgspec.json.encode(card)) + b"\n")
    if not writing.refused:
        refused_path.unlink(missing_ok=True)
    return Imported(
        path=plan.to,
        card_path=beside(plan.to, "card.json"),
        refused_path=refused_path if writing.refused else None,
        card=card,
        examples=tuple(writing.examples.values()),
        leaks=chosen.leaks,
    )


def beside(path: Path, ending: str) -> Path:
    """Return the path of a file beside an eval set: its name with another ending."""
    return path.with_name(f"{path.stem}.{ending}")


def check_target(plan: Plan) -> None:
    """Refuse a target that is no JSONL file, or that exists."""
    if plan.to.suffix.lower() not in (".jsonl", ".ndjson"):
        raise DataError(f"{plan.to}: an eval set is written as JSON lines.", "Use NAME.jsonl.")
    if plan.to.exists() and not plan.overwrite:
        raise DataError(
            f"{plan.to} exists already; nothing was written.",
            "Choose another file with --to, or replace it with --force.",
        )


def _all(sources: Iterable[Source], watch: Watch | None) -> Iterator[Judged]:
    for source in sources:
        yield from source.judged(watch)


def _texts(sources: Iterable[Source], rows: Ints) -> list[str]:
    """Read the sources again for the texts of some candidates, in the order of their numbers."""
    wanted = iter(rows.tolist())
    following = next(wanted, None)
    found: list[str] = []
    for number, one in enumerate(_candidates(_all(sources, None))):
        if number == following:
            found.append(one.whole or one.text)
            following = next(wanted, None)
            if following is None:
                break
    return found


def _candidates(judged: Iterable[Judged]) -> Iterator[Candidate]:
    return (one for one in judged if isinstance(one, Candidate))


class _Writing:
    """The last pass: each row to the set, or to the list of what was refused."""

    def __init__(self, plan: Plan, survey: Survey, chosen: Chosen) -> None:
        self.plan, self.survey, self.chosen = plan, survey, chosen
        self.refused: Counter[str] = Counter()
        self.examples: dict[str, TurnedDown] = {}
        self.labels: Counter[str] = Counter()
        self._leaks = {leak.row: leak for leak in chosen.leaks}
        self._stems = _stems(list(survey.sources))

    def run(self, judged: Iterable[Judged], rows: IO[bytes], refused: IO[bytes]) -> None:
        number = 0
        for one in judged:
            if isinstance(one, TurnedDown):
                self._refuse(one, refused)
                continue
            if number >= len(self.survey):
                raise _changed()
            fate = int(self.chosen.fate[number])
            if fate == TAKEN:
                rows.write(msgspec.json.encode(self.row(one), enc_hook=str) + b"\n")
                self._count(one.reference)
            elif fate != NOT_DRAWN:
                self._refuse(self._turned(one, number, fate), refused)
            number += 1
        if number != len(self.survey):
            raise _changed()

    def row(self, one: Candidate) -> dict[str, Any]:
        """Return a candidate as a row of the set."""
        columns, sessions = self.plan.columns, self.chosen.ids_are_sessions
        place = f"{self._stems[one.source]}-{one.line}"
        row: dict[str, Any] = {columns.id: (one.session if sessions else one.id) or place}
        row[columns.text] = one.text
        put(row, self.plan.reference, one.reference)
        group = one.group if one.group is not None or sessions else one.session
        if group is not None:
            row[columns.group or "group"] = group
        if one.segment is not None:
            row[columns.segment or "segment"] = one.segment
        for name, value in one.around.items():
            row[getattr(columns, name) or name] = value
        return {**one.more, **row}

    def _count(self, reference: Any) -> None:
        if isinstance(reference, str) and len(self.labels) <= MOST_LABELS:
            self.labels[reference] += 1

    def _refuse(self, one: TurnedDown, refused: IO[bytes]) -> None:
        self.refused[one.kind] += 1
        self.examples.setdefault(one.kind, one)
        refused.write(msgspec.json.encode(one) + b"\n")

    def _turned(self, one: Candidate, number: int, fate: int) -> TurnedDown:
        return TurnedDown(
            source=one.source,
            line=one.line,
            kind=KINDS[fate],
            why=self._why(number, fate),
            excerpt=" ".join(one.text.split())[:160],
        )

    def _why(self, number: int, fate: int) -> str:
        if fate == LEAK:
            leak = self._leaks[number]
            return f"like a training row ({leak.near:.2f}): {leak.where}: {leak.text[:160]!r}"
        source, line = self.survey.place(int(self.chosen.twin[number]))
        like = "says almost the same as" if fate == NEAR else "repeats"
        return f"{like} {source}, line {line}"


def _stems(sources: Sequence[str]) -> dict[str, str]:
    """Return how rows without an id are named by their source; no two sources share a name."""
    stems = [Path(source).stem for source in sources]
    if len(set(stems)) == len(stems):
        return dict(zip(sources, stems, strict=True))
    return {
        source: f"{stem}-{n}"
        for n, (source, stem) in enumerate(zip(sources, stems, strict=True), 1)
    }


def _changed() -> DataError:
    return DataError(
        "A source changed while it was read; nothing was written.",
        "Run the command again when nobody writes to it.",
    )


def _nothing(survey: Survey, read: Sequence[tuple[int, Mapping[str, int]]]) -> DataError:
    rows = sum(n for n, _ in read)
    if not survey.examples:
        return DataError("The sources hold no rows.", "An eval needs at least one labelled row.")
    kind = survey.turned.most_common(1)[0][0]
    one = survey.examples[kind]
    shown = f" ({one.excerpt})" if one.excerpt else ""
    return DataError(
        f"None of {rows:,} rows can be used; nothing was written. {survey.turned[kind]:,}: {kind}, "
        f"such as {one.source}, line {one.line}: {one.why}{shown}.",
        _advice(kind),
    )


def _advice(kind: str) -> str:
    return {
        "no match": "Correct the task's `contract`, or name another step with --step.",
        "wrong reference": "Correct the task's `labels` or `fields`, or name another --reference.",
        "no input": "Name the column with --input.",
        "no reference": "Name the column with --reference.",
        "other model": "--model is a pattern, such as 'gpt-5*'.",
    }.get(kind, "Correct the file.")


def _reference_is(plan: Plan, sources: Sequence[Source]) -> ReferenceIs:
    by_log = any(source.reference_is == "ceiling" for source in sources)
    return plan.reference_is or ("ceiling" if by_log else "gold")


def _source_card(source: Source, digest: str, read: tuple[int, dict[str, int]]) -> SourceCard:
    rows, other = read
    return SourceCard(
        name=source.name, digest=digest, read_as=source.read_as, rows=rows, other_steps=other
    )


def _card(
    writing: _Writing,
    sources: tuple[SourceCard, ...],
    reference_is: ReferenceIs,
    today: date,
    digest: str,
) -> Card:
    plan, chosen = writing.plan, writing.chosen
    labels = writing.labels if len(writing.labels) <= MOST_LABELS else Counter[str]()
    return Card(
        task=None if plan.task is None else plan.task.name,
        date=today.isoformat(),
        n=len(chosen.taken),
        digest=digest,
        reference_is=reference_is,
        reference_models=dict(writing.survey.models.most_common()),
        sources=sources,
        columns={
            "id": plan.columns.id,
            "input": plan.columns.text,
            "reference": plan.reference,
        },
        refused=dict(writing.refused.most_common()),
        not_drawn=chosen.count(NOT_DRAWN),
        labels=dict(labels.most_common()),
        compared=_compared(plan, chosen),
        drawn=_drawn(plan, chosen),
    )


def _compared(plan: Plan, chosen: Chosen) -> Compared:
    return Compared(
        mode=plan.asked.duplicates,
        near_among=chosen.near_compared,
        training_rows=chosen.trained_on,
        leaks=len(chosen.leaks),
        leaks_allowed=plan.asked.allow_leaks,
        unknown_training=plan.unknown_training,
    )


def _drawn(plan: Plan, chosen: Chosen) -> Drawn | None:
    wanted = plan.asked.sample
    if wanted is None:
        return None
    of = len(chosen.taken) + chosen.count(NOT_DRAWN)
    return Drawn(wanted=wanted, of=of, by=plan.by if chosen.stratified else None, seed=chosen.seed)
