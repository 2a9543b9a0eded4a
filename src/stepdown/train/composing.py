"""Compose a training set of examples: duplicates out, the better word first, validation apart.

It is told which examples are near-duplicates and which belong together; it compares no texts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from stepdown.core.digest import digest, seed_from
from stepdown.ports.trainer import Example, Source, TrainingSet
from stepdown.train.folds import assign_folds

WORD: tuple[Source, ...] = ("feedback", "set", "ceiling")  # whose word counts more, the best first
VALIDATION = 7  # one part of so many is kept for the recipes' own choices


class Thinned(Struct, frozen=True):
    """Examples without near-duplicates; `outvoted` were answered otherwise by a better word."""

    kept: tuple[Example, ...]
    duplicates: tuple[Example, ...]
    outvoted: tuple[Example, ...]


def thin(examples: Sequence[Example], like: Mapping[str, str]) -> Thinned:
    """Keep one of the examples that say almost the same (`like`: id -> cluster) and mean the same.

    A correction wins over what the set says, and that over the ceiling. Where two of equal word
    contradict each other both stay: the label-noise report shows them.
    """
    clusters: defaultdict[str, list[Example]] = defaultdict(list)
    for example in examples:
        clusters[like[example.id]].append(example)
    kept: list[Example] = []
    duplicates: list[Example] = []
    outvoted: list[Example] = []
    for rows in clusters.values():
        best = min(WORD.index(row.source) for row in rows)
        answers: dict[str, Example] = {}
        for row in sorted(rows, key=lambda row: (WORD.index(row.source), row.id)):
            said = digest(row.answer)
            if said in answers:
                duplicates.append(row)
            elif WORD.index(row.source) > best:
                outvoted.append(row)
            else:
                answers[said] = row
        kept += answers.values()
    order = {example.id: at for at, example in enumerate(examples)}
    kept.sort(key=lambda row: order[row.id])
    return Thinned(tuple(kept), tuple(duplicates), tuple(outvoted))


def set_of(examples: Sequence[Example]) -> TrainingSet:
    """Return the set, its validation part made of whole groups, hard cases first.

    Escalated examples come first: a recipe that runs out of time has seen what the small tier did
    not know. The seed of the division is the digest of the examples.
    """
    found = digest_of(examples)
    ordered = sorted(examples, key=lambda row: (not row.escalated, row.id))
    groups = [row.group for row in ordered]
    if len(set(groups)) < VALIDATION:
        return TrainingSet(train=tuple(ordered), digest=found)
    labels = [row.answer if isinstance(row.answer, str) else "" for row in ordered]
    folds = assign_folds(labels, groups, VALIDATION, seed_from(found)).tolist()
    pairs = list(zip(ordered, folds, strict=True))
    return TrainingSet(
        train=tuple(row for row, fold in pairs if fold),
        validation=tuple(row for row, fold in pairs if not fold),
        digest=found,
    )


def digest_of(examples: Iterable[Example]) -> str:
    """Return the digest of examples, whatever their order."""
    return digest(sorted(digest((row.id, row.input, row.answer)) for row in examples))


def without(data: TrainingSet, ids: frozenset[str]) -> TrainingSet:
    """Return a set without some rows of its train part."""
    kept = tuple(row for row in data.train if row.id not in ids)
    return TrainingSet(
        train=kept, validation=data.validation, digest=digest_of((*kept, *data.validation))
    )
