"""The training set of a task, gathered from the project: what it is made of, and its card.

Sources: the train part of the project's one split, the ledger (`traffic_examples`), and a file of
rows that are for training only. What resembles a row that an eval or a certificate uses, or belongs
to a conversation with one, is left out, so that nothing is tested by what it was taught.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from stepdown.adapters.tables.rows import read_rows
from stepdown.core.masking import mask, masked
from stepdown.core.task import Task
from stepdown.errors import ConfigError, DataError
from stepdown.evals.dataset import Sample, samples_of
from stepdown.evals.duplicates import Joined, join_near, normalised
from stepdown.evals.split import group_samples
from stepdown.ports.trainer import Example, Source, TrainingSet
from stepdown.train.composing import set_of, thin
from stepdown.train.data_card import DataCard
from stepdown.wiring.label_noise import noise_in, without_noise
from stepdown.wiring.traffic_examples import Refusals, Traffic, from_traffic
from stepdown.wiring.workspace import SHADOW_POOL, Workspace, columns_of

HELD = ("tune", "certify")  # parts of the split that no recipe may see
HELD_OUT = "like a row of the eval or certify part, or of a conversation with one"
OUTVOTED = "a better word says otherwise of the same text"
OTHER_INPUT = "it has images, which no recipe reads"
MOST_NAMED = 5  # rows that an error lists


class Gathered(Struct, frozen=True):
    """A training set with its card; `traffic` are the ids of the requests in it."""

    data: TrainingSet
    card: DataCard
    traffic: tuple[str, ...] = ()


class Options(Struct, frozen=True, kw_only=True):
    """How a set is gathered: `masked` hides personal data, `also` is a file of further rows.

    `drop_noise` leaves out rows whose label seems wrong, where that is measured to help. With
    `lenient` a recipe that cannot run is passed over.
    """

    masked: bool = False
    also: Path | None = None
    drop_noise: bool = False
    lenient: bool = False


def gather(workspace: Workspace, task: Task, options: Options = Options()) -> Gathered:
    """Return what may be learned for a task.

    Raises:
        ConfigError: no data are configured.
        DataError: a row is wrong, `also` overlaps the eval rows, or nothing is left.
    """
    refusals = Refusals()
    held = tuple(_held(workspace, task))
    mine = [*from_set(workspace, task, refusals), *_also(workspace, task, options.also, held)]
    traffic = from_traffic(workspace, task)
    apart = _apart(held, mine, traffic.examples, refusals)
    thinned = thin(apart, clusters_of(apart))
    for row in thinned.outvoted:
        refusals.note(OUTVOTED, row.id, row.input)
    if not thinned.kept:
        raise DataError(
            f"There is nothing to train {task.name!r} on.", "Add labelled rows; see [data]."
        )
    kept, hidden = _hidden(thinned.kept) if options.masked else (thinned.kept, None)
    _check_apart(task, apart, held)
    data = set_of(kept)
    noise = noise_in(workspace, task, data)
    if options.drop_noise and noise is not None:
        data, noise = without_noise(workspace, data, noise)
    card = _card(task, data, traffic, refusals, len(thinned.duplicates), hidden)
    card = replace(card, noise=noise)
    served = {row.id for row in traffic.examples}
    used = (row.id for row in (*data.train, *data.validation) if row.id in served)
    return Gathered(data, card, tuple(sorted(used)))


def from_set(workspace: Workspace, task: Task, refusals: Refusals) -> list[Example]:
    """Return the labelled rows of the train part."""
    found = []
    for row in workspace.part(task, "train"):
        if row.images:
            refusals.note(OTHER_INPUT, row.id)
        elif row.reference is not None:
            found.append(_example(task, row))
    return found


def _example(task: Task, row: Sample) -> Example:
    source: Source = "ceiling" if task.reference_is == "ceiling" else "set"
    group = row.group or row.id
    return Example(id=row.id, input=row.input, answer=row.reference, group=group, source=source)


def _held(workspace: Workspace, task: Task) -> Iterator[Sample]:
    """Yield every text that an eval or a certificate uses, as the task reads it and whole."""
    parts = workspace.whole_split.parts
    for part in HELD:
        yield from (_named("whole", row) for row in parts[part])
        yield from (_named("held", row) for row in workspace.part(task, part))
    keys = workspace.project.data
    if keys is None or keys.pool in (None, SHADOW_POOL):
        return
    path = workspace.project.root / str(keys.pool)
    for line, row in read_rows(path) if path.exists() else ():
        text = row.get(keys.input)
        if isinstance(text, str):
            yield Sample(id=f"pool:{row.get(keys.id, line)}", input=text, reference=None)


def _named(what: str, row: Sample) -> Sample:
    return replace(row, id=f"{what}:{row.id}", reference=None)


def _also(
    workspace: Workspace, task: Task, path: Path | None, held: Sequence[Sample]
) -> list[Example]:
    """Return the rows of a file that is for training only.

    Raises:
        DataError: a row is wrong, or is one of the rows that evals or certificates use.
    """
    if path is None:
        return []
    keys = workspace.project.data
    if keys is None:
        raise ConfigError("stepdown.toml has no [data].", "Name the labelled rows there.")
    if not path.exists():
        raise DataError(f"{path} does not exist.", "Name a file of labelled rows.")
    rows = samples_of(task, read_rows(path), source=path.name, columns=columns_of(keys))
    _refuse_overlap(path.name, rows, held)
    return [_told_also(_example(task, row)) for row in rows]


def _told_also(row: Example) -> Example:
    """Return a row of the file under names that no row of the data has."""
    return replace(row, id=f"also:{row.id}", group=f"also:{row.group}", source="set")


def _refuse_overlap(name: str, rows: Sequence[Sample], held: Sequence[Sample]) -> None:
    near = _near([row.input for row in rows], held)
    found = [(row, twin) for row, twin in zip(rows, near, strict=True) if twin is not None]
    if found:
        pairs = "; ".join(f"{row.id} is like {twin.id}" for row, twin in found[:MOST_NAMED])
        more = f"; and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
        raise DataError(
            f"{name} overlaps the eval rows in {len(found)} of {len(rows)} rows: {pairs}{more}.",
            "What is trained on cannot test: take these rows out of the file.",
        )


def _near(texts: Sequence[str], held: Sequence[Sample]) -> list[Sample | None]:
    """Return for each text the first held-out row that says almost the same."""
    joined = Joined(len(held) + len(texts))
    join_near(joined, [*(row.input for row in held), *texts])
    places = [joined.find(len(held) + at) for at in range(len(texts))]
    return [held[place] if place < len(held) else None for place in places]


def _apart(
    held: Sequence[Sample],
    mine: Sequence[Example],
    traffic: Sequence[Example],
    refusals: Refusals,
) -> list[Example]:
    """Leave out what resembles a held-out row, and group the rest: conversations, near-duplicates.

    Traffic is looked at first and alone, or a conversation with two messages would tie a labelled
    row that may be learned to one that may not.
    """
    fresh = _free(held, traffic, refusals)
    kept = _free(held, mine, refusals)
    rows = [*kept, *fresh]
    groups = group_samples([_sample(row) for row in rows])
    return [replace(row, group=groups[row.id]) for row in rows]


def _free(held: Sequence[Sample], rows: Sequence[Example], refusals: Refusals) -> list[Example]:
    """Return the rows whose whole group resembles no held-out row."""
    if not rows:
        return []
    groups = group_samples([*held, *(_sample(row) for row in rows)])
    spent = {groups[row.id] for row in held}
    for row in rows:
        if groups[row.id] in spent:
            refusals.note(HELD_OUT, row.id, row.input)
    return [row for row in rows if groups[row.id] not in spent]


def _sample(row: Example) -> Sample:
    return Sample(id=row.id, input=row.input, reference=None, group=row.group)


def clusters_of(examples: Sequence[Example]) -> dict[str, str]:
    """Return id -> the id of the first example that says almost the same."""
    joined = Joined(len(examples))
    join_near(joined, [example.input for example in examples])
    return {example.id: examples[joined.find(i)].id for i, example in enumerate(examples)}


def _hidden(rows: Sequence[Example]) -> tuple[tuple[Example, ...], int]:
    """Return the rows with personal data masked, and in how many something was."""
    told = [
        replace(row, input=mask(row.input), answer=masked(row.answer), wrong=masked(row.wrong))
        for row in rows
    ]
    changed = sum(a.input != b.input for a, b in zip(rows, told, strict=True))
    return tuple(told), changed


def _check_apart(task: Task, rows: Sequence[Example], held: Sequence[Sample]) -> None:
    """Make sure, by another way than the groups, that no text stands on both sides."""
    spent = {normalised(row.input) for row in held if row.input}
    both = [row.id for row in rows if normalised(row.input) in spent]
    if both:
        raise DataError(
            f"The training set of {task.name!r} holds {len(both)} eval rows: "
            f"{', '.join(both[:MOST_NAMED])}.",
            "This is a defect of the division; nothing was trained. Please report it.",
        )


def _card(
    task: Task,
    data: TrainingSet,
    traffic: Traffic,
    refusals: Refusals,
    duplicates: int,
    hidden: int | None,
) -> DataCard:
    rows = [*data.train, *data.validation]
    return DataCard(
        task=task.name,
        n=len(rows),
        n_validation=len(data.validation),
        groups=len({row.group for row in rows}),
        sources=dict(Counter(row.source for row in rows)),
        by_label=dict(sorted(Counter(r.answer for r in rows).items())) if task.labels else {},
        duplicates=duplicates,
        refused=(*refusals.told(), *traffic.refused),
        overlap=0,
        escalated=sum(row.escalated for row in rows),
        store=task.store,
        digest=data.digest,
        requests=traffic.seen,
        masked=hidden,
        notes=traffic.notes,
    )
