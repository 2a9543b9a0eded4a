"""The `extractor` recipe: find the values in the texts, fit one span model a field, calibrate.

Only the rows that it is given are read: keep test and certify rows away from it.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct

from stepdown.core.digest import digest, seed_from
from stepdown.errors import DataError
from stepdown.ports.encoder import TokenEncoder
from stepdown.train.extractor.candidates import SIZES
from stepdown.train.extractor.corpus import Corpus, read_corpus
from stepdown.train.extractor.field import FieldRecipe, FieldRows, Fitted, fit_field, unlearned
from stepdown.train.extractor.model import Extractor, ExtractorCard
from stepdown.train.extractor.shelf import Shelf
from stepdown.train.extractor.spans import ROLES
from stepdown.train.extractor.targets import is_absent, places_in, targets_of
from stepdown.train.fit import calm_blas
from stepdown.train.folds import assign_folds

if TYPE_CHECKING:
    from numpy import float32, intp
    from numpy.typing import NDArray

SameField = Callable[[str, object, object], bool]
Tell = Callable[[str, int, int | None], None]


class ExtractorRecipe(FieldRecipe, frozen=True, forbid_unknown_fields=True):
    """Settings of the fit; none depends on a task.

    `max_tokens` bounds memory: where the texts have more, a part of them drawn by the digest of the
    data is trained on, and the card says how many. `least` is the number of values found in the
    texts below which a field is left to the next tier.
    """

    folds: int = 3
    threads: int = 1
    max_features: int = 40_000
    max_tokens: int = 400_000
    least: int = 10


class Labelled(Struct, frozen=True, eq=False):
    """Texts, the object of fields that each should give, and what belongs together."""

    texts: Sequence[str]
    answers: Sequence[Mapping[str, Any]]
    groups: Sequence[Hashable]

    def __post_init__(self) -> None:
        """Refuse columns that do not match, and too few rows to hold any out."""
        if not len(self.texts) == len(self.answers) == len(self.groups):
            raise DataError(
                f"{len(self.texts)} texts, {len(self.answers)} answers and {len(self.groups)} "
                f"groups do not match.",
                "Give one answer and one group for each text.",
            )
        if len(set(self.groups)) < 2:
            raise DataError(
                f"{len(set(self.groups))} group(s) of rows are too few to train on.",
                "Give rows of at least two groups; near-duplicates count as one.",
            )


class Asked(Struct, frozen=True, kw_only=True):
    """What is asked of a fit besides the rows.

    `same` tells whether two values of a field are equal as the task scores it, `basis` names that
    way. `late` tells that the time is up, `shelf` keeps finished fields across an interruption.
    """

    task: str
    name: str
    fields: tuple[str, ...]
    same: SameField
    basis: str = ""
    recipe: ExtractorRecipe = ExtractorRecipe()
    created: str | None = None
    late: Callable[[], bool] = lambda: False
    tell: Tell | None = None
    shelf: Shelf | None = None


def fit_extractor(rows: Labelled, encoder: TokenEncoder, asked: Asked) -> Extractor:
    """Fit an extractor on labelled texts.

    Fields whose values are not found often enough are left out of it: they are answered by null.

    Raises:
        DataError: no field can be learned; says why for each.
    """
    data = digest(list(zip(rows.texts, rows.answers, strict=True)))
    kept = _within(rows, asked.recipe.max_tokens, seed_from(data))
    with calm_blas(asked.recipe.threads):
        corpus = read_corpus(kept.texts, encoder, asked.recipe.max_features, _told(asked, "read"))
        fitted = [_field(kept, corpus, name, data, encoder, asked) for name in asked.fields]
    if all(one.weights is None for one in fitted):
        raise _nothing(fitted, asked.recipe.least)
    card = ExtractorCard(
        task=asked.task,
        name=asked.name,
        fields=tuple(one.card for one in fitted),
        encoder_name=encoder.name,
        encoder_digest=encoder.piece_digest,
        dim=corpus.dense.shape[1],
        data_digest=data,
        seed=seed_from(data),
        folds=asked.recipe.folds,
        created=asked.created,
    )
    return _joined(card, corpus, fitted)


def _told(asked: Asked, stage: str) -> Callable[[int, int], None] | None:
    tell = asked.tell
    return None if tell is None else lambda done, of: tell(stage, done, of)


def _within(rows: Labelled, max_tokens: int, seed: int) -> Labelled:
    """Return the rows with a word in them, a part drawn by the seed where they are too many."""
    room, taken = max_tokens, []
    for at in np.random.default_rng(seed).permutation(len(rows.texts)).tolist():
        words = len(rows.texts[at].split())
        if words and room >= 0:
            taken.append(at)
            room -= 2 * words  # a word is two tokens or fewer on both sets that were measured
    taken.sort()
    return Labelled(
        [rows.texts[at] for at in taken],
        [rows.answers[at] for at in taken],
        [rows.groups[at] for at in taken],
    )


def _field(
    rows: Labelled, corpus: Corpus, name: str, data: str, encoder: TokenEncoder, asked: Asked
) -> Fitted:
    """Fit one field, or take it from the shelf where an interrupted run left it."""
    key = digest([data, name, asked.recipe, encoder.piece_digest, asked.basis])
    kept = asked.shelf.take(key) if asked.shelf else None
    if kept is None:
        kept = _fit(rows, corpus, name, data, asked)
        if asked.shelf:
            asked.shelf.put(key, kept)
    if asked.tell:
        asked.tell("fields", asked.fields.index(name) + 1, len(asked.fields))
    return kept


def _fit(rows: Labelled, corpus: Corpus, name: str, data: str, asked: Asked) -> Fitted:
    values = [answer.get(name) for answer in rows.answers]
    same = _same_of(asked.same, name)
    places = places_in(corpus.tokens, values, same)
    if sum(place is not None for place in places) < asked.recipe.least:
        return unlearned(name, values, places)
    present = ["null" if is_absent(value) else "value" for value in values]
    folds = assign_folds(present, rows.groups, asked.recipe.folds, seed_from(data))
    mine = FieldRows(name, tuple(values), targets_of(corpus.tokens, values, places), folds)
    return fit_field(mine, corpus, same, asked.recipe, asked.late)


def _same_of(same: SameField, field: str) -> Callable[[object, object], bool]:
    return lambda wanted, given: same(field, wanted, given)


def _joined(card: ExtractorCard, corpus: Corpus, fitted: Sequence[Fitted]) -> Extractor:
    """Put the weights of the fields side by side, and drop features that no field uses."""
    learned = [one.weights for one in fitted if one.weights is not None]
    hashed = np.hstack([one.hashed for one in learned])
    used: NDArray[intp] = np.flatnonzero(np.abs(hashed).max(axis=1) > 0)
    return Extractor(
        card,
        corpus.known[used],
        np.ascontiguousarray(hashed[used]),
        np.hstack([one.dense for one in learned]).reshape(card.dim, len(learned) * ROLES),
        _stacked([one.sizes for one in learned]),
    )


def _stacked(sizes: "Sequence[NDArray[float32]]") -> "NDArray[float32]":
    return np.stack(sizes).reshape(len(sizes), SIZES)


def _nothing(fitted: Sequence[Fitted], least: int) -> DataError:
    told = ", ".join(
        f"{one.card.name} ({one.card.found} of {one.card.present} values)" for one in fitted
    )
    return DataError(
        f"No field can be learned: fewer than {least} values stand in the texts: {told}.",
        "An extractor copies spans: give more rows, or answer this task with a language model.",
    )
