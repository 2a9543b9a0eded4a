"""The `head` recipe: embed, choose the penalty by cross-validation, fit, calibrate, freeze.

Only the rows that it is given are read: keep test and certify rows away from it.
"""

from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from stepdown.core.digest import digest, seed_from
from stepdown.errors import DataError
from stepdown.ports.encoder import Encoder
from stepdown.stats.calibrate import fit_temperature
from stepdown.train.familiarity import fit_familiarity
from stepdown.train.folds import assign_folds
from stepdown.train.head import Head, HeadCard
from stepdown.train.logistic import Linear, fit_path
from stepdown.train.softmax import log_loss

if TYPE_CHECKING:
    from numpy import float32, intp
    from numpy.typing import NDArray


class HeadRecipe(Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of the fit; none of them depends on a task.

    `penalties` run from strong to weak and are compared with the summed loss of the rows (1 / C
    in other libraries). `tolerance` is the relative gain per step below which the fit stops.
    One thread by default: sums then have one order, so equal data give equal bytes, and a busy
    machine does not slow the fit tenfold.
    """

    penalties: tuple[float, ...] = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003)
    folds: int = 3
    max_iterations: int = 200
    tolerance: float = 1e-5
    threads: int = 1

    def __post_init__(self) -> None:
        """Refuse settings that cannot be fitted."""
        if not self.penalties or min(self.penalties) <= 0:
            raise ValueError(f"penalties must be above 0, got {self.penalties}")
        if list(self.penalties) != sorted(self.penalties, reverse=True):
            raise ValueError(f"penalties must run from strong to weak, got {self.penalties}")
        if self.folds < 2:
            raise ValueError(f"folds must be 2 or more, got {self.folds}")


class _Rows(Struct, frozen=True, eq=False):
    """Training rows: embeddings (rows, dim), label numbers and fold numbers (rows,)."""

    embeddings: "NDArray[float32]"
    coded: "NDArray[intp]"
    names: tuple[str, ...]
    folds: "NDArray[intp]"

    def where(self, kept: "NDArray[np.bool_]") -> "_Rows":
        """Return the rows for which `kept` is true; all label names stay."""
        return _Rows(self.embeddings[kept], self.coded[kept], self.names, self.folds[kept])


class _Choice(Struct, frozen=True):
    """The penalty that cross-validation chose, and what it measured there."""

    at: int
    temperature: float
    accuracy: float
    log_loss: float


def fit_head(
    texts: Sequence[str],
    labels: Sequence[str],
    encoder: Encoder,
    *,
    task: str,
    name: str,
    groups: Sequence[Hashable] | None = None,
    recipe: HeadRecipe | None = None,
    created: str | None = None,
) -> Head:
    """Fit a classification head on labelled texts.

    `groups` keep rows together in cross-validation (near-duplicates, threads, customers); without
    them equal texts are kept together. The seed is the digest of the data. `created` is a date to
    write on the card; without one, equal data give equal bytes.

    Raises:
        DataError: columns of different lengths, fewer than two labels, or fewer than two groups.
    """
    kept = tuple(groups) if groups is not None else tuple(texts)
    names = _check(texts, labels, kept)
    recipe, data = recipe or HeadRecipe(), digest(list(zip(texts, labels, strict=True)))
    folds = assign_folds(labels, kept, recipe.folds, seed_from(data))
    coded = np.searchsorted(names, labels).astype(np.intp)
    rows = _Rows(encoder.embed(texts), coded, tuple(names), folds)
    with _calm_blas(recipe.threads):
        choice = _choose(_out_of_fold(rows, recipe), coded)
        linear = _fit(rows, recipe.penalties[: choice.at + 1], recipe)[-1]
        familiarity = fit_familiarity(rows.embeddings, coded, len(names))
    card = HeadCard(
        task=task,
        name=name,
        labels=rows.names,
        encoder_name=encoder.name,
        encoder_digest=encoder.digest,
        dim=rows.embeddings.shape[1],
        penalty=recipe.penalties[choice.at],
        temperature=choice.temperature,
        data_digest=data,
        n_by_label=tuple(np.bincount(coded, minlength=len(names)).tolist()),
        seed=seed_from(data),
        folds=int(folds.max()) + 1,
        grouped=groups is not None,
        out_of_fold_accuracy=choice.accuracy,
        out_of_fold_log_loss=choice.log_loss,
        created=created,
    )
    return Head(card, linear, familiarity)


@contextmanager
def _calm_blas(threads: int) -> Iterator[None]:
    """Limit the threads of linear algebra; on a busy machine its waiting threads slow it tenfold.

    SciPy brings its own copy of the library and must be loaded before the limit is set.
    """
    import scipy.optimize  # noqa: F401
    from threadpoolctl import threadpool_limits

    with threadpool_limits(threads, user_api="blas"):
        yield


def _check(texts: Sequence[str], labels: Sequence[str], groups: Sequence[Hashable]) -> list[str]:
    """Return the sorted labels."""
    if not len(texts) == len(labels) == len(groups):
        raise DataError(
            f"{len(texts)} texts, {len(labels)} labels and {len(groups)} groups do not match.",
            "Give one label, and one group where there are groups, for each text.",
        )
    names = sorted(set(labels))
    if len(names) < 2 or len(set(groups)) < 2:
        raise DataError(
            f"{len(names)} label(s) in {len(set(groups))} group(s) are too few to train on.",
            "Give rows of at least two labels in at least two groups.",
        )
    return names


def _out_of_fold(rows: _Rows, recipe: HeadRecipe) -> "NDArray[float32]":
    """Return logits of rows by models that did not see them, shape (penalties, rows, labels)."""
    shape = (len(recipe.penalties), len(rows.coded), len(rows.names))
    logits = np.empty(shape, dtype=np.float32)
    for fold in range(int(rows.folds.max()) + 1):
        held = rows.folds == fold
        for at, linear in enumerate(_fit(rows.where(~held), recipe.penalties, recipe)):
            logits[at, held] = linear.logits(rows.embeddings[held])
    return logits


def _fit(rows: _Rows, penalties: tuple[float, ...], recipe: HeadRecipe) -> list[Linear]:
    return fit_path(
        rows.embeddings,
        rows.coded,
        len(rows.names),
        tuple(penalty / len(rows.coded) for penalty in penalties),
        max_iterations=recipe.max_iterations,
        tolerance=recipe.tolerance,
    )


def _choose(logits: "NDArray[float32]", coded: "NDArray[intp]") -> _Choice:
    """Take the penalty with the lowest log loss after temperature: honest probabilities first."""
    choices = []
    for at, table in enumerate(logits):
        temperature = fit_temperature(table, coded).temperature
        accuracy = float((table.argmax(axis=1) == coded).mean())
        choices.append(_Choice(at, temperature, accuracy, log_loss(table, coded, temperature)))
    return min(choices, key=lambda choice: choice.log_loss)
