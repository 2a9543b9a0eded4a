"""The verifier of a tier: chance of a right answer from what is read off it."""

import numpy as np
import pytest

from stepdown.certify.fitting import design, fit_logistic, fit_ridge, folds_of
from stepdown.certify.verifier import evidence_of, fit_verifier, own_signals, verified, with_shapes
from stepdown.core.outcome import Outcome
from stepdown.core.replay_array import Panel, panel
from stepdown.stats.calibrate import auroc, ece


def _rows(n: int, seed: int, useful: bool = True) -> Panel:
    """One tier whose answer's signal `hint` raises the chance of being right; `noise` does not."""
    rng = np.random.default_rng(seed)
    hint, noise = rng.normal(size=n), rng.normal(size=n)
    right = rng.random(n) < 1 / (1 + np.exp(-2 * hint * useful))
    return panel(
        Outcome(
            query_id=f"q{i}",
            tier="a.b",
            score=float(right[i]),
            signals={"hint": float(hint[i]), "noise": float(noise[i]), "same": 1.0},
        )
        for i in range(n)
    )


def test_a_telling_signal_is_found_among_others_and_ranks_new_rows() -> None:
    rows, fresh = _rows(400, 1), _rows(2000, 2)
    found = fit_verifier(rows, "a.b", folds_of(rows.groups, 0))
    assert found is not None
    seen = fresh.with_derived(found.formulas).signals[verified("a.b")]
    assert (auroc(seen, fresh.score["a.b"]) or 0) > 0.82
    assert (ece(seen, fresh.score["a.b"]) or 1) < 0.06


def test_what_says_nothing_gets_nearly_no_weight() -> None:
    rows, fresh = _rows(300, 3, useful=False), _rows(2000, 4, useful=False)
    found = fit_verifier(rows, "a.b", folds_of(rows.groups, 0))
    assert found is not None
    assert np.std(fresh.with_derived(found.formulas).signals[verified("a.b")]) < 0.1


def test_the_values_of_the_fitted_rows_come_from_fits_without_them() -> None:
    rng = np.random.default_rng(5)
    columns = {f"s{i}": rng.normal(size=60) for i in range(30)}
    target = (rng.random(60) < 0.5).astype(float)
    fold = folds_of([None] * 60, 0)
    held_out = fit_logistic(design(columns, 60), target, fold).held_out
    assert abs((auroc(held_out, target) or 0) - 0.5) < 0.2


def test_too_few_rows_or_no_signal_give_no_verifier() -> None:
    few = _rows(10, 1)
    assert fit_verifier(few, "a.b", folds_of(few.groups, 0)) is None
    silent = panel(Outcome(query_id=f"q{i}", tier="t", score=1.0) for i in range(50))
    assert fit_verifier(silent, "t", folds_of(silent.groups, 0)) is None


def test_answers_that_are_all_right_give_a_finite_formula() -> None:
    rows = _rows(60, 1)
    rows.score["a.b"][:] = 1.0
    found = fit_verifier(rows, "a.b", folds_of(rows.groups, 0))
    assert found is not None
    values = rows.with_derived(found.formulas).signals[verified("a.b")]
    assert values.min() > 0.9


def test_a_tier_owns_its_signals_also_where_names_hold_dots() -> None:
    rows = panel(
        [
            Outcome(query_id="q", tier="a", score=1.0, signals={"x": 1.0}),
            Outcome(query_id="q", tier="a.b", score=1.0, signals={"y": 1.0}),
        ]
    )
    assert set(own_signals(rows, "a")) == {"a.x"}
    assert set(own_signals(rows, "a.b")) == {"a.b.y"}


def test_shapes_are_added_where_there_is_an_answer_and_unknown_elsewhere() -> None:
    rows = panel(
        [
            Outcome(query_id="q1", tier="t", score=1.0, prompt="1 and 2?", answer="1 + 2 = 3"),
            Outcome(query_id="q2", tier="t", score=0.0, prompt="1 and 2?"),
        ]
    )
    right = with_shapes(rows, "t").signals["t.shape_sums_right"]
    assert right[0] == 1
    assert np.isnan(right[1])


def test_rows_of_one_group_share_a_fold() -> None:
    fold = folds_of(["a", "b", "a", None, "b"], 7)
    assert fold[0] == fold[2]
    assert fold[1] == fold[4]


def test_a_constant_has_no_weight_and_no_row_keeps_its_own_fold_mean() -> None:
    target = np.arange(50.0) % 2
    made = design({"same": np.ones(50)}, 50)
    _, fitted = fit_ridge(made, target, folds_of([None] * 50, 1))
    assert fitted.formula.inputs == ()
    assert fitted.held_out == pytest.approx(np.full(50, 0.5))


def test_unknown_values_count_as_the_mean() -> None:
    column = np.array([1.0, 3.0, np.nan, 1.0, 3.0, np.nan] * 10)
    made = design({"s": column}, 60)
    assert made.matrix[2, 1] == 0
    assert made.mean == pytest.approx([2.0])
    assert evidence_of("t") == "t.evidence"
