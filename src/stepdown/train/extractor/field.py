"""Fit one field: choose the penalty by cross-validation, calibrate on rows held out, fit on all."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct

from stepdown.stats.calibrate import auroc, ece, fit_platt
from stepdown.train.extractor.candidates import Places
from stepdown.train.extractor.corpus import Corpus
from stepdown.train.extractor.model import LEAST_ODDS, FieldCard
from stepdown.train.extractor.reading import Found, best_value
from stepdown.train.extractor.spans import Rows, Weights, fit, scores
from stepdown.train.extractor.targets import Targets, is_absent
from stepdown.train.extractor.writing import Same, Writing, choose_writing

if TYPE_CHECKING:
    from numpy import float64, intp
    from numpy.typing import NDArray

Late = Callable[[], bool]


class FieldRecipe(Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of the fit of a field.

    `penalties` run from strong to weak; the search ends where the next one is worse on rows held
    out. `tolerance` is the relative gain per step below which a fit stops.
    """

    penalties: tuple[float, ...] = (3.0, 1.0, 0.3)
    max_iterations: int = 80
    tolerance: float = 1e-5


class FieldRows(Struct, frozen=True, eq=False):
    """One field of the training texts; `folds` are numbers of texts (texts,)."""

    name: str
    values: tuple[Any, ...]
    targets: Targets
    folds: "NDArray[intp]"


class Fitted(Struct, frozen=True, eq=False):
    """A field's card and weights; None where nothing was learned."""

    card: FieldCard
    weights: Weights | None = None


class _Try(Struct, frozen=True, eq=False):
    """One penalty: the model of each fold, what each held-out text was answered, the mean loss."""

    penalty: float
    weights: tuple[Weights, ...]
    answers: tuple[Found, ...]
    loss: float


def unlearned(name: str, values: Sequence[Any], places: Sequence[Places | None]) -> Fitted:
    """Return a field that is left to the next tier."""
    found = sum(place is not None for place in places)
    return Fitted(FieldCard(name=name, n=len(values), present=_present(values), found=found))


def _present(values: Sequence[Any]) -> int:
    return sum(not is_absent(value) for value in values)


def fit_field(
    rows: FieldRows, corpus: Corpus, same: Same, recipe: FieldRecipe, late: Late
) -> Fitted:
    """Fit the span model of one field and the map from its probability to its confidence."""
    best = _search(rows, corpus, recipe, late)
    writing = choose_writing(rows.targets.pairs(corpus.tokens, rows.values), same)
    usable = np.flatnonzero(rows.targets.usable)
    every = _part(rows, corpus, usable)
    weights = _fitted(every, best.penalty, best.weights[0], recipe)
    right = [
        _right(found, wanted, writing, same)
        for found, wanted in zip(best.answers, rows.values, strict=True)
    ]
    return Fitted(_card(rows, best, writing, right), weights)


def _search(rows: FieldRows, corpus: Corpus, recipe: FieldRecipe, late: Late) -> _Try:
    """Return the best penalty by the loss on held-out texts."""
    best: _Try | None = None
    parts = _folds(rows, corpus)
    for penalty in recipe.penalties:
        if best is not None and late():
            break
        tried = _try(rows, corpus, parts, penalty, best, recipe)
        if best is not None and tried.loss >= best.loss:
            break
        best = tried
    assert best is not None
    return best


def _folds(rows: FieldRows, corpus: Corpus) -> list[Rows]:
    """Return what each fold trains on: the usable texts of the others."""
    usable = rows.targets.usable
    return [
        _part(rows, corpus, np.flatnonzero(usable & (rows.folds != fold)))
        for fold in range(int(rows.folds.max()) + 1)
    ]


def _part(rows: FieldRows, corpus: Corpus, texts: "NDArray[intp]") -> Rows:
    targets = rows.targets
    return corpus.part(texts, targets.spans, targets.gold, targets.absent)


def _fitted(part: Rows, penalty: float, start: Weights | None, recipe: FieldRecipe) -> Weights:
    how = {"max_iterations": recipe.max_iterations, "tolerance": recipe.tolerance}
    return fit(part, penalty, start, **how)  # type: ignore[arg-type]


def _try(
    rows: FieldRows,
    corpus: Corpus,
    parts: Sequence[Rows],
    penalty: float,
    before: _Try | None,
    recipe: FieldRecipe,
) -> _Try:
    starts = before.weights if before else (None,) * len(parts)
    weights = tuple(
        _fitted(part, penalty, start, recipe) for part, start in zip(parts, starts, strict=True)
    )
    answers, losses = [], []
    for at, fold in enumerate(rows.folds.tolist()):
        given = _scores(rows, corpus, at, weights[fold])
        answers.append(best_value(corpus.tokens[at], rows.targets.spans[at], given))
        losses.append(_loss(rows.targets, at, given))
    usable = rows.targets.usable
    return _Try(penalty, weights, tuple(answers), float(np.array(losses)[usable].mean()))


def _scores(rows: FieldRows, corpus: Corpus, at: int, weights: Weights) -> "NDArray[float64]":
    """Return the scores of the spans of one text."""
    low, high = int(corpus.bounds[at]), int(corpus.bounds[at + 1])
    parts = corpus.hashed[low:high] @ weights.hashed + corpus.dense[low:high] @ weights.dense
    return scores(parts, rows.targets.spans[at], weights.sizes)


def _loss(targets: Targets, at: int, given: "NDArray[float64]") -> float:
    """Return the negative log-probability of the right answer; a text without one counts 0."""
    every = np.logaddexp.reduce(np.append(given, 0.0))
    right = 0.0 if targets.absent[at] else np.logaddexp.reduce(given[targets.gold[at]])
    return float(every - right) if np.isfinite(right) else 0.0


def _right(found: Found, wanted: object, writing: Writing, same: Same) -> bool:
    given = None if found.span is None else writing.write(found.span)
    if is_absent(wanted) or not given:
        return is_absent(wanted) and not given
    return same(wanted, given)


def _card(rows: FieldRows, best: _Try, writing: Writing, right: Sequence[bool]) -> FieldCard:
    """Return the card: Platt's map on the log-odds of the probability, and what was measured."""
    inside = np.clip([one.probability for one in best.answers], LEAST_ODDS, 1 - LEAST_ODDS)
    good = np.array(right, dtype=np.float64)
    platt = fit_platt(np.log(inside / (1 - inside)), good)
    sure = platt.apply(np.log(inside / (1 - inside)))
    return FieldCard(
        name=rows.name,
        n=len(rows.values),
        present=_present(rows.values),
        found=sum(bool(one.any()) for one in rows.targets.gold),
        reach=rows.targets.reach,
        writing=writing,
        penalty=best.penalty,
        slope=platt.slope,
        offset=platt.offset,
        accuracy=float(good.mean()),
        auroc=auroc(sure, good),
        ece=ece(sure, good),
    )
