"""The estimates behind a triage: shrunk segment effects, a text residual, and the choice of them.

Arrays in, arrays out: it knows no names, no files and no encoders. Tiers are fitted jointly in
contrasts: their mean (the difficulty that they share) and the differences between them, each with
its own shrinkage, because routing rests on differences alone.
"""

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from stepdown.certify.triage_model import Coordinates, Fitted, Floats, Gain, Ints, View
from stepdown.errors import DataError
from stepdown.stats.arrays import group_sums

# Signal to noise per row that the marginal likelihood chooses from: a grid, so that equal data
# give equal bytes. A step is a factor of 1.4, finer than data tell apart.
_RATIOS = np.concatenate([[0.0], np.geomspace(1e-4, 1e2, 41)])
# Passes over unknown scores; with none unknown one pass is exact.
_PASSES = 3


class Plan(Struct, frozen=True):
    """What a fit may use: the effects of segments, and text in one of its views."""

    prior: bool
    view: View = "none"
    shape: bool = False

    @property
    def bare(self) -> "Plan":
        """The same without text."""
        return Plan(self.prior)


class Rows(Struct, frozen=True, eq=False):
    """Scores (n, T), NaN unknown, where the rows lie, and the group of each (n,).

    `parts` counts the segments, `slopes` the leading axes that a segment may weigh for itself.
    """

    scores: Floats
    lie: Coordinates
    groups: NDArray[np.int64]
    parts: int
    slopes: int

    def take(self, kept: NDArray[np.bool_]) -> "Rows":
        """Return some of the rows."""
        lie, groups = self.lie.take(kept), self.groups[kept]
        return Rows(self.scores[kept], lie, groups, self.parts, self.slopes)


class Chosen(Struct, frozen=True, eq=False):
    """The plan that proved itself, fitted on all rows, and what its text gained out of fold."""

    fitted: Fitted
    plan: Plan
    text_gain: Gain


def assign_folds(groups: NDArray[np.int64], folds: int, seed: int) -> Ints:
    """Return a fold for each row, whole groups in one, of nearly equal size.

    Raises:
        DataError: fewer than two groups.
    """
    sizes = np.bincount(groups)
    if len(sizes) < 2:
        raise DataError(
            "All rows belong to one group, so nothing can be held out.",
            "Give rows of at least two groups.",
        )
    order = np.random.default_rng(seed).permutation(len(sizes))
    middle = np.cumsum(sizes[order]) - sizes[order] / 2
    fold = np.empty(len(sizes), dtype=np.intp)
    fold[order] = np.floor(middle / sizes.sum() * folds).astype(np.intp)
    return np.unique(fold[groups], return_inverse=True)[1].astype(np.intp)


def choose(rows: Rows, plans: tuple[Plan, ...], folds: int, seed: int) -> Chosen:
    """Return the plan with the best out-of-fold differences; the first stays unless beaten.

    Another plan must gain more than one standard error over the first. Source: Breiman et al.
    (1984), "Classification and regression trees", section 3.4.3.
    """
    if len(plans) == 1 or len(np.unique(rows.groups)) < 2:
        return Chosen(fit(rows, plans[0]), plans[0], Gain())
    codes = np.unique(rows.groups, return_inverse=True)[1].astype(np.int64)
    held = assign_folds(codes, folds, seed)
    said = [_out_of_fold(rows, plan, held) for plan in plans]
    gains = [gain(rows, said[0], one) for one in said]
    best = max(range(1, len(plans)), key=lambda i: gains[i].mean)
    plan = plans[best] if gains[best].proven else plans[0]
    bare = plans.index(plans[best].bare)
    return Chosen(fit(rows, plan), plan, gain(rows, said[bare], said[best]))


def _out_of_fold(rows: Rows, plan: Plan, held: Ints) -> Floats:
    out = np.empty_like(rows.scores)
    for fold in range(int(held.max()) + 1):
        here = held == fold
        out[here] = fit(rows.take(~here), plan).predict(rows.lie.take(here))
    return out


def gain(rows: Rows, base: Floats, other: Floats) -> Gain:
    """Return what `other` takes off the squared error of the differences between tiers.

    A row counts by the tiers known on it; the error is over groups (Liang and Zeger, 1986).
    """
    each = _losses(rows.scores, base) - _losses(rows.scores, other)
    each = each[~np.isnan(each)]
    if each.size < 2:
        return Gain()
    kept = ~np.isnan(_losses(rows.scores, base))
    codes = np.unique(rows.groups[kept], return_inverse=True)[1].astype(np.int64)
    sums = group_sums(each - each.mean(), codes)
    return Gain(float(each.mean()), float(np.sqrt((sums**2).sum()) / each.size))


def _losses(scores: Floats, said: Floats) -> Floats:
    """Return the variance over tiers of the error of each row; with one tier, its square."""
    error = scores - said
    known = ~np.isnan(error)
    count = known.sum(axis=1)
    filled = np.where(known, error, 0.0)
    mean = filled.sum(axis=1) / np.maximum(count, 1)
    shared = mean if scores.shape[1] > 1 else np.zeros(len(scores))
    found = (np.where(known, error - shared[:, None], 0.0) ** 2).sum(axis=1) / np.maximum(count, 1)
    return np.where(count >= min(2, scores.shape[1]), found, np.nan)


def fit(rows: Rows, plan: Plan) -> Fitted:
    """Fit one plan on the rows that have a score.

    Unknown scores are filled with what the fit says and the row's own level on its known tiers,
    and the fit is made again: a few steps of expectation and maximisation.
    """
    known = ~np.isnan(rows.scores)
    some = np.asarray(known.any(axis=1))
    rows, known = rows.take(some), known[some]
    counts = known.sum(axis=0)
    total = np.where(known, rows.scores, 0.0).sum(axis=0)
    overall = total.sum() / max(1, counts.sum())
    mean = np.where(counts > 0, total / np.maximum(counts, 1), overall)
    said = np.tile(mean, (len(known), 1))
    fitted = _empty(mean)
    for _ in range(1 if known.all() else _PASSES):
        fitted = _fit_full(rows, _fill(rows.scores, known, said), mean, plan)
        said = fitted.predict(rows.lie)
    return fitted


def _fill(scores: Floats, known: NDArray[np.bool_], said: Floats) -> Floats:
    """Return scores whose unknown ones are the expected score plus the row's shrunk level.

    The level is the best linear prediction from k known tiers whose errors correlate by rho:
    rho * sum / (1 + (k - 1) * rho). Source: Robinson (1991), "That BLUP is a good thing".
    """
    if known.all():
        return scores
    error = np.where(known, scores - said, 0.0)
    count, total = known.sum(axis=1), error.sum(axis=1)
    pairs = float((count * (count - 1)).sum())
    across = (float((total**2 - (error**2).sum(axis=1)).sum()) / pairs) if pairs else 0.0
    rho = float(np.clip(across / max((error**2).sum() / count.sum(), 1e-12), 0.0, 1.0))
    level = rho * total / (1.0 + (count - 1) * rho)
    return np.where(known, scores, said + level[:, None])


def _empty(mean: Floats) -> Fitted:
    tiers = len(mean)
    return Fitted(mean, np.zeros((0, tiers)), np.zeros((0, 0, tiers)), np.zeros((0, tiers)))


def _fit_full(rows: Rows, scores: Floats, mean: Floats, plan: Plan) -> Fitted:
    """Fit scores without gaps: segment effects on the contrasts, then text on what they leave."""
    basis, lie, none = _contrasts(scores), rows.lie, _empty(mean)
    left = (scores - mean) @ basis
    effects, weights, bends = none.effects, none.weights, none.bends
    if plan.prior:
        effects = _segment_effects(left, lie.at, rows.parts)
        left = left - np.where((lie.at >= 0)[:, None], effects[lie.at], 0.0)
    if plan.shape:
        bends = _ridge(left, lie.waves)
        left = left - lie.waves @ bends
    if plan.view == "linear":
        weights = _ridge(left[lie.has_text], lie.z[lie.has_text])[None]
    elif plan.view == "by_segment":
        weights, shift = _by_segment(left, rows)
        effects = effects + shift
    return Fitted(mean, effects @ basis.T, weights @ basis.T, bends @ basis.T)


def _contrasts(scores: Floats) -> Floats:
    """Return an orthogonal basis: the mean over tiers, then principal differences between them."""
    tiers = scores.shape[1]
    level = np.full((tiers, 1), tiers**-0.5)
    centred = scores - scores.mean(axis=0)
    apart = centred - centred.mean(axis=1, keepdims=True)
    scale = max(1.0, float((apart**2).sum()))
    values = apart.T @ apart + 2 * scale * (level @ level.T)
    found: Floats = np.linalg.eigh(values)[1][:, ::-1]
    largest = found[np.abs(found).argmax(axis=0), np.arange(tiers)]
    return found * np.where(largest < 0, -1.0, 1.0)


def _segment_effects(left: Floats, at: Ints, parts: int) -> Floats:
    """Return the shrunk mean of each segment, shape (parts, T): partial pooling."""
    here = at >= 0
    n = np.bincount(at[here], minlength=parts).astype(np.float64)
    sums = np.stack([np.bincount(at[here], column[here], parts) for column in left.T], axis=1)
    scale = 1.0 / np.sqrt(np.maximum(n, 1.0))[:, None]
    return scale * shrink(n, scale * sums, (left[here] ** 2).sum(axis=0), len(left), pull=0.5)


def shrink(values: Floats, onto: Floats, squares: Floats, n: int, pull: float = 0.0) -> Floats:
    """Return ridge coefficients along eigenvectors, the penalty by marginal likelihood.

    `values` (m,) are eigenvalues of the Gram matrix, `onto` (m, T) the targets' sums along them
    divided by the root of the eigenvalue, `squares` (T,) sums of squared targets over n rows.
    Coefficients are in units of the feature times the root of the eigenvalue: multiply as `onto`
    was. `pull` adds pull * ln(ratio) to the likelihood, so that no variance is put at exactly
    zero for lack of data; 0.5 is the gamma(2) prior of Chung et al. (2013), "A nondegenerate
    penalized likelihood estimator for variance parameters".
    """
    factor = _RATIOS[:, None] * values / (1.0 + _RATIOS[:, None] * values)
    rest = np.maximum(squares - factor @ onto**2, 1e-9 * np.maximum(squares, 1e-12))
    spread = np.log1p(_RATIOS[:, None] * values).sum(axis=1)[:, None]
    with np.errstate(divide="ignore"):
        nearer = pull * np.log(_RATIOS)[:, None] if pull else 0.0
    loss = 0.5 * (n * np.log(rest) + spread) - nearer
    picked: Floats = factor[loss.argmin(axis=0)].T * onto
    return picked


def _ridge(target: Floats, z: Floats) -> Floats:
    """Return weights of the columns of z, shape (columns, T)."""
    values, axes = np.linalg.eigh(z.T @ z)
    root = np.sqrt(np.maximum(values, 1e-12 * max(float(values[-1]), 1e-12)))
    onto = (axes.T @ (z.T @ target)) / root[:, None]
    kept = shrink(root**2, onto, (target**2).sum(axis=0), len(z))
    found: Floats = axes @ (kept / root[:, None])
    return found


def _by_segment(left: Floats, rows: Rows) -> tuple[Floats, Floats]:
    """Return weights of the leading axes in each segment, and the shift that centres them."""
    lie = rows.lie
    width, tiers = min(rows.slopes, lie.z.shape[1]), left.shape[1]
    turns = np.zeros((rows.parts, width, width))
    values, onto = np.zeros((rows.parts, width)), np.zeros((rows.parts, width, tiers))
    centres = np.zeros((rows.parts, width))
    on = lie.has_text & (lie.at >= 0)
    for part in np.unique(lie.at[on]):
        here = on & (lie.at == part)
        z = lie.z[here, :width]
        centres[part] = z.mean(axis=0)
        z = z - centres[part]
        values[part], turns[part] = np.linalg.eigh(z.T @ z)
        onto[part] = turns[part].T @ (z.T @ left[here])
    root = np.sqrt(np.maximum(values, 1e-9))
    flat = (onto / root[:, :, None]).reshape(-1, tiers)
    kept = shrink(root.reshape(-1) ** 2, flat, (left[on] ** 2).sum(axis=0), int(on.sum()))
    weights: Floats = turns @ (kept.reshape(onto.shape) / root[:, :, None])
    return weights, -np.einsum("pd,pdt->pt", centres, weights)
