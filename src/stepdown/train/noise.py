"""Label noise: rows whose label a model that did not see them disagrees with.

A report, not a filter: on banking77, dropping such rows lifted a set of 10,000 rows and hurt sets
below 3,000. Whether it helps here is measured on rows apart (`gain_of_dropping`), never assumed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from stepdown.core.digest import digest, seed_from
from stepdown.core.masking import mask
from stepdown.ports.encoder import Encoder
from stepdown.ports.trainer import Example
from stepdown.stats.calibrate import fit_temperature
from stepdown.stats.intervals import paired_difference
from stepdown.train.data_card import Noise, Suspect
from stepdown.train.fit import calm_blas
from stepdown.train.folds import assign_folds
from stepdown.train.logistic import Linear, fit_path
from stepdown.train.softmax import softmax

if TYPE_CHECKING:
    from numpy import bool_, float32, intp
    from numpy.typing import NDArray

FOLDS = 3
# Strong to weak; the weakest is used, the others bring the fit there in few steps.
PENALTIES = (1.0, 0.1)
SHOWN, EXCERPT = 5, 60
LEVEL = 0.95


class _Coded(Struct, frozen=True, eq=False):
    """Examples as numbers: embeddings (rows, dim), labels and folds (rows,)."""

    embeddings: NDArray[float32]
    labels: NDArray[intp]
    names: tuple[str, ...]
    folds: NDArray[intp]


def noise_of(rows: Sequence[Example], encoder: Encoder) -> Noise | None:
    """Return the label-noise report of examples whose answers are labels.

    A row is suspect where the model gives another label at least the probability that rows of that
    label get for it on average. None where a label or a fold is missing to cross-validate.
    Source: Northcutt, Jiang and Chuang (2021), "Confident learning", section 3.1.
    """
    coded = _coded(rows, encoder)
    if coded is None:
        return None
    probabilities = _out_of_fold(coded)
    guesses = probabilities.argmax(axis=1)
    found = np.flatnonzero(_suspect(probabilities, coded.labels))
    doubt = probabilities[found, guesses[found]] - probabilities[found, coded.labels[found]]
    worst = found[np.argsort(-doubt, kind="stable")]
    return Noise(
        n=len(rows),
        disagree=int((guesses != coded.labels).sum()),
        suspects=tuple(sorted(rows[at].id for at in found.tolist())),
        examples=tuple(_shown(rows[at], coded.names[guesses[at]]) for at in worst[:SHOWN].tolist()),
        model=f"a head on {encoder.name}, {FOLDS}-fold",
    )


def _coded(rows: Sequence[Example], encoder: Encoder) -> _Coded | None:
    answers = [str(row.answer) for row in rows]
    groups = [row.group for row in rows]
    names = sorted(set(answers))
    if len(names) < 2 or len(set(groups)) < FOLDS:
        return None
    seed = seed_from(digest([row.id for row in rows]))
    return _Coded(
        encoder.embed([row.input for row in rows]),
        np.searchsorted(names, answers).astype(np.intp),
        tuple(names),
        assign_folds(answers, groups, FOLDS, seed),
    )


def _out_of_fold(coded: _Coded) -> NDArray[float32]:
    """Return calibrated probabilities by models that did not see the row, shape (rows, labels)."""
    logits = np.zeros((len(coded.labels), len(coded.names)), dtype=np.float32)
    with calm_blas(1):
        for fold in range(int(coded.folds.max()) + 1):
            held = coded.folds == fold
            linear = _fitted(coded.embeddings[~held], coded.labels[~held], len(coded.names))
            logits[held] = linear.logits(coded.embeddings[held])
    found: NDArray[float32] = softmax(logits, fit_temperature(logits, coded.labels).temperature)
    return found


def _suspect(probabilities: NDArray[float32], labels: NDArray[intp]) -> NDArray[bool_]:
    own = probabilities[np.arange(len(labels)), labels]
    counts = np.bincount(labels, minlength=probabilities.shape[1])
    usual = np.bincount(labels, own, minlength=probabilities.shape[1]) / np.maximum(counts, 1)
    sure = np.where(probabilities >= usual, probabilities, -1.0)
    guess = sure.argmax(axis=1)
    found: NDArray[bool_] = (guess != labels) & (sure.max(axis=1) > 0) & (own < sure.max(axis=1))
    return found


def _shown(row: Example, says: str) -> Suspect:
    text = mask(" ".join(row.input.split()))[:EXCERPT]
    return Suspect(row.id, str(row.answer), says, text)


class Gain(Struct, frozen=True):
    """A difference of validation accuracy with its 95% interval; `pays` where it excludes 0."""

    value: float
    low: float
    high: float

    @property
    def pays(self) -> bool:
        """Whether the gain is more than chance."""
        return self.low > 0


def gain_of_dropping(
    train: Sequence[Example],
    validation: Sequence[Example],
    suspects: frozenset[str],
    encoder: Encoder,
) -> Gain | None:
    """Measure what leaving the suspects out brings on rows that neither fit has seen.

    Validation labels are as noisy as the others, alike for both sides. None without such rows, or
    where what is left has fewer than two labels.
    """
    kept = [row for row in train if row.id not in suspects]
    if not validation or len({str(row.answer) for row in kept}) < 2:
        return None
    texts = encoder.embed([row.input for row in validation])
    before, after = (_right(rows, validation, texts, encoder) for rows in (train, kept))
    seed = seed_from(digest(sorted(suspects)))
    groups = [row.group for row in validation]
    found = paired_difference(after, before, groups, LEVEL, seed)
    if found.low is None or found.high is None:
        return None
    return Gain((sum(after) - sum(before)) / len(validation), found.low, found.high)


def _right(
    rows: Sequence[Example],
    validation: Sequence[Example],
    texts: NDArray[float32],
    encoder: Encoder,
) -> list[float]:
    """Return 1 for each validation row that a head on `rows` gets right."""
    answers = [str(row.answer) for row in rows]
    names = sorted(set(answers))
    coded = np.searchsorted(names, answers).astype(np.intp)
    with calm_blas(1):
        linear = _fitted(encoder.embed([row.input for row in rows]), coded, len(names))
    said = linear.logits(texts).argmax(axis=1).tolist()
    return [float(names[at] == row.answer) for at, row in zip(said, validation, strict=True)]


def _fitted(embeddings: NDArray[float32], labels: NDArray[intp], n_labels: int) -> Linear:
    path = tuple(penalty / len(labels) for penalty in PENALTIES)
    return fit_path(embeddings, labels, n_labels, path, max_iterations=100, tolerance=1e-4)[-1]
