"""The `head` recipe: embed, choose penalty and lexicon by cross-validation, fit, calibrate, freeze.

Only the rows that it is given are read: keep test and certify rows away from it.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from stepdown.core.digest import digest, seed_from
from stepdown.errors import DataError
from stepdown.ports.encoder import Encoder
from stepdown.ports.trainer import Step
from stepdown.stats.calibrate import fit_temperature
from stepdown.train.familiarity import fit_familiarity
from stepdown.train.folds import assign_folds
from stepdown.train.head import Head, HeadCard, join_features
from stepdown.train.lexicon import Lexicon, fit_lexicon, lexical_by_fold
from stepdown.train.logistic import Linear, fit_path
from stepdown.train.softmax import row_losses, softmax

if TYPE_CHECKING:
    from numpy import float32, float64, intp
    from numpy.typing import NDArray

BLOCK = 512  # texts embedded between two reports


class HeadRecipe(Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of the fit; none of them depends on a task.

    `penalties` run from strong to weak and are compared with the summed loss of the rows (1 / C
    in other libraries). `tolerance` is the relative gain per step below which the fit stops.
    One thread for linear algebra by default: sums then have one order, so equal data give equal
    bytes, and a busy machine, whose waiting threads block each other, slows the fit less. Folds
    do not touch each other: `workers` of them are fitted at a time.
    `lexical_scales` are the weights tried for the lexicon (none: no lexicon), at the penalties
    next to the best without it; above `few_rows` rows the last of them only. Above `lexical_rows`
    rows none is tried: memory and time. On the train file of banking77, held-out third, no test row
    seen: static encoder .888 without, .903 at half weight, .897 at full weight; transformer .915,
    .920 and .918.
    """

    penalties: tuple[float, ...] = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003)
    folds: int = 3
    max_iterations: int = 200
    tolerance: float = 1e-5
    threads: int = 1
    workers: int = 2
    lexical_scales: tuple[float, ...] = (1.0, 0.5)
    few_rows: int = 2000
    lexical_rows: int = 40_000

    def __post_init__(self) -> None:
        """Refuse settings that cannot be fitted."""
        if not self.penalties or min(self.penalties) <= 0:
            raise ValueError(f"penalties must be above 0, got {self.penalties}")
        if list(self.penalties) != sorted(self.penalties, reverse=True):
            raise ValueError(f"penalties must run from strong to weak, got {self.penalties}")
        if self.folds < 2:
            raise ValueError(f"folds must be 2 or more, got {self.folds}")
        if min(self.lexical_scales, default=1.0) <= 0:
            raise ValueError(f"lexical_scales must be above 0, got {self.lexical_scales}")


class _Rows(Struct, frozen=True, eq=False):
    """Training rows: texts, embeddings (rows, dim), label numbers and fold numbers (rows,)."""

    texts: tuple[str, ...]
    embeddings: "NDArray[float32]"
    coded: "NDArray[intp]"
    names: tuple[str, ...]
    folds: "NDArray[intp]"


class _Choice(Struct, frozen=True, eq=False):
    """A penalty and a lexical scale, and what cross-validation measured: losses and
    confidences are of the rows, shape (rows,).
    """

    at: int
    scale: float
    temperature: float
    accuracy: float
    losses: "NDArray[float64]"
    confidences: "NDArray[float64]"

    @property
    def log_loss(self) -> float:
        """Mean loss, in nats."""
        return float(self.losses.mean())


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
    step: Step | None = None,
    hurry: Callable[[], bool] | None = None,
) -> Head:
    """Fit a classification head on labelled texts.

    `groups` keep rows together in cross-validation (near-duplicates, threads, customers); without
    them equal texts are kept together. The seed is the digest of the data. `created` is a date to
    write on the card; without one, equal data give equal bytes. `step` is told how far it is.
    `hurry` is asked once whether the time that is left is too short to try n-grams.

    Raises:
        DataError: columns of different lengths, fewer than two labels, or fewer than two groups.
    """
    kept = tuple(groups) if groups is not None else tuple(texts)
    names = _check(texts, labels, kept)
    recipe, data = recipe or HeadRecipe(), digest(list(zip(texts, labels, strict=True)))
    folds = assign_folds(labels, kept, recipe.folds, seed_from(data))
    coded = np.searchsorted(names, labels).astype(np.intp)
    embeddings = _embedded(encoder, texts, step)
    rows = _Rows(tuple(texts), embeddings, coded, tuple(names), folds)
    with calm_blas(recipe.threads):
        choice = _choose(rows, recipe, step, hurry)
        tell(step, "fit on all rows", 0)
        lexicon = fit_lexicon(texts) if choice.scale else None
        linear, lexicon = _fold(_fit_all(rows, lexicon, choice, recipe), lexicon)
        sure = choice.confidences
        familiarity = fit_familiarity(rows.embeddings, coded, len(names), folds, sure)
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
        lexical_dim=lexicon.dim if lexicon else 0,
        lexical_scale=choice.scale if lexicon else 0.0,
    )
    return Head(card, linear, familiarity, lexicon)


def _embedded(encoder: Encoder, texts: Sequence[str], step: Step | None) -> "NDArray[float32]":
    """Embed block by block, so that somebody can watch, and stop it."""
    found = []
    for start in range(0, len(texts), BLOCK):
        tell(step, "embed", start, len(texts))
        found.append(encoder.embed(texts[start : start + BLOCK]))
    return np.concatenate(found)


@contextmanager
def calm_blas(threads: int) -> Iterator[None]:
    """Limit the threads of linear algebra; on a busy machine its waiting threads slow it.

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


def _choose(
    rows: _Rows, recipe: HeadRecipe, step: Step | None, hurry: Callable[[], bool] | None
) -> _Choice:
    """Take penalty and lexical scale by out-of-fold log loss: honest probabilities first.

    The lexicon must gain more than one standard error of the paired gains of the rows, or there
    is none. Source: Breiman et al. (1984), "Classification and regression trees", section 3.4.3.
    """
    every = range(len(recipe.penalties))
    plain = _best(rows, [None] * (int(rows.folds.max()) + 1), 0.0, every, recipe, step)
    if len(rows.texts) > recipe.lexical_rows or not recipe.lexical_scales:
        return plain
    if hurry is not None and hurry():
        return plain
    tell(step, "n-grams", 0)
    tables = lexical_by_fold(rows.texts, rows.folds, recipe.workers)
    if any(table is None for table in tables):
        return plain
    near = range(max(0, plain.at - 1), min(len(every), plain.at + 2))
    few = len(rows.texts) <= recipe.few_rows
    scales = recipe.lexical_scales if few else recipe.lexical_scales[-1:]
    tried = [_best(rows, tables, scale, near, recipe, step) for scale in scales]
    best = min(tried, key=lambda choice: choice.log_loss)
    gains = plain.losses - best.losses
    return best if gains.mean() > gains.std() / np.sqrt(len(gains)) else plain


def tell(step: Step | None, stage: str, done: int, total: int | None = None) -> None:
    """Say how far a fit is, where somebody watches."""
    if step is not None:
        step(stage, done, total)


def _best(
    rows: _Rows,
    tables: "list[NDArray[float32] | None]",
    scale: float,
    span: range,
    recipe: HeadRecipe,
    step: Step | None,
) -> _Choice:
    """Return the best penalty of a span at one lexical scale, by log loss after temperature."""
    choices = []
    found = _out_of_fold(rows, tables, scale, span, recipe, step)
    for at, logits in zip(span, found, strict=True):
        temperature = fit_temperature(logits, rows.coded).temperature
        accuracy = float((logits.argmax(axis=1) == rows.coded).mean())
        losses = row_losses(logits, rows.coded, temperature)
        sure = softmax(logits.astype(np.float64), temperature).max(axis=1)
        choices.append(_Choice(at, scale, temperature, accuracy, losses, sure))
    return min(choices, key=lambda choice: choice.log_loss)


def _out_of_fold(
    rows: _Rows,
    tables: "list[NDArray[float32] | None]",
    scale: float,
    span: range,
    recipe: HeadRecipe,
    step: Step | None,
) -> "NDArray[float32]":
    """Return logits of rows by models that did not see them, shape (penalties, rows, labels).

    `tables` holds for each fold the lexical vectors of all rows by a lexicon that did not see it.
    """
    penalties = recipe.penalties[span.start : span.stop]
    logits = np.empty((len(span), len(rows.coded), len(rows.names)), dtype=np.float32)

    def fit(fold: int) -> None:
        held, features = rows.folds == fold, join_features(rows.embeddings, tables[fold], scale)
        coded = rows.coded[~held]
        for at, linear in enumerate(_fit(features[~held], coded, rows.names, penalties, recipe)):
            logits[at, held] = linear.logits(features[held])

    stage = "cross-validate with n-grams" if scale else "cross-validate"
    tell(step, stage, 0, len(tables))
    with ThreadPoolExecutor(recipe.workers) as pool:
        for done, _ in enumerate(pool.map(fit, range(len(tables))), 1):
            tell(step, stage, done, len(tables))
    return logits


def _fit_all(rows: _Rows, lexicon: Lexicon | None, choice: _Choice, recipe: HeadRecipe) -> Linear:
    """Fit on all rows at the chosen penalty and scale, from the stronger penalty before it."""
    lexical = lexicon.embed(rows.texts) if lexicon else None
    features = join_features(rows.embeddings, lexical, choice.scale)
    penalties = recipe.penalties[max(0, choice.at - 1) : choice.at + 1]
    return _fit(features, rows.coded, rows.names, penalties, recipe)[-1]


def _fold(linear: Linear, lexicon: Lexicon | None) -> tuple[Linear, Lexicon | None]:
    """Multiply projection and lexical weights: the same answers from a file a tenth as large.

    The lexicon then gives one number a label, and the weights beside it are the identity.
    """
    labels = len(linear.bias)
    if lexicon is None or lexicon.dim <= labels:
        return linear, lexicon
    dim = len(linear.weights) - lexicon.dim
    unit = np.eye(labels, dtype=np.float32)
    folded = Linear(np.vstack([linear.weights[:dim], unit]), linear.bias)
    return folded, lexicon.folded(linear.weights[dim:])


def _fit(
    features: "NDArray[float32]",
    coded: "NDArray[intp]",
    names: tuple[str, ...],
    penalties: tuple[float, ...],
    recipe: HeadRecipe,
) -> list[Linear]:
    return fit_path(
        features,
        coded,
        len(names),
        tuple(penalty / len(coded) for penalty in penalties),
        max_iterations=recipe.max_iterations,
        tolerance=recipe.tolerance,
    )
