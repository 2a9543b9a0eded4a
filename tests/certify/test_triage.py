"""Triage predicts before any model runs, honestly, and says when it is not worth having."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from stepdown.certify.triage import Triage, crossfit, fit_triage, shapes_of
from stepdown.certify.triage_file import digest_triage, dump_triage, load_triage, save_triage
from stepdown.errors import DataError, WeightsError

Floats = NDArray[np.float64]
TIERS = ("small", "mid", "frontier")


def scored(
    n: int, seed: int = 0, *, by_text: float = 0.0, by_segment: float = 0.3
) -> tuple[Floats, list[str | None], Floats]:
    """Rows in three segments; the small tier depends on the segment and on the first axis."""
    chance = np.random.default_rng(seed)
    at = chance.integers(3, size=n)
    vectors = chance.standard_normal((n, 12))
    small = 0.5 + by_segment * (at - 1) + by_text * np.sign(vectors[:, 0])
    right = np.clip(np.stack([small, np.full(n, 0.7), np.full(n, 0.8)], axis=1), 0, 1)
    return (chance.random((n, 3)) < right) * 1.0, [f"kind {i}" for i in at], vectors


def error_of_difference(said: Floats, scores: Floats) -> float:
    return float((((said - scores)[:, 2] - (said - scores)[:, 0]) ** 2).mean())


def test_the_prior_finds_the_accuracy_of_each_segment_and_shrinks_it() -> None:
    scores, segments, _ = scored(900)
    found = fit_triage(scores, segments, None, 1, TIERS)
    said = found.predict(["kind 0", "kind 1", "kind 2"], None)
    assert found.uses == "prior"
    assert found.worth
    assert said[:, 0] == pytest.approx([0.2, 0.5, 0.8], abs=0.08)
    own = [scores[[s == name for s in segments], 0].mean() for name in ("kind 0", "kind 2")]
    assert own[0] < said[0, 0] < said[2, 0] < own[1]


def test_an_unseen_or_unknown_segment_gets_the_mean_of_all() -> None:
    scores, segments, _ = scored(300)
    found = fit_triage(scores, segments, None, 1, TIERS)
    said = found.predict(["never seen", None], None)
    assert said == pytest.approx(np.tile(scores.mean(axis=0), (2, 1)))


def test_text_joins_only_where_it_proves_itself() -> None:
    told = fit_triage(*scored(900, by_text=0.3, by_segment=0.1), 1, TIERS)
    noise = fit_triage(*scored(900, by_text=0.0), 1, TIERS)
    assert told.uses == "prior+text"
    assert told.card.text_gain.proven
    assert noise.uses == "prior"
    assert not noise.card.text_gain.proven


def test_text_makes_predictions_of_fresh_rows_better() -> None:
    found = fit_triage(*scored(900, by_text=0.3, by_segment=0.1), 1, TIERS)
    scores, segments, vectors = scored(4000, seed=9, by_text=0.3, by_segment=0.1)
    told = error_of_difference(found.predict(segments, vectors), scores)
    assert told < 0.95 * error_of_difference(found.predict(segments, None), scores)


def test_triage_that_knows_nothing_says_that_it_is_not_worth_having() -> None:
    verdicts = []
    for seed in range(20):
        scores, segments, vectors = scored(200, seed=seed, by_segment=0.0)
        verdicts.append(fit_triage(scores, segments, vectors, seed, TIERS).worth)
    assert sum(verdicts) <= 7  # one sided at one standard error: 16% by chance, 3 of 20


def test_without_segments_clusters_stand_in_when_they_prove_themselves() -> None:
    chance = np.random.default_rng(3)
    part = chance.integers(3, size=900)
    vectors = np.eye(12)[part] * 6 + chance.standard_normal((900, 12)) * 0.5
    right = np.stack([np.array([0.1, 0.9, 0.1])[part], np.full(900, 0.8)], axis=1)
    scores = (chance.random((900, 2)) < right) * 1.0
    found = fit_triage(scores, [None] * 900, vectors, 1, ("small", "big"))
    said = found.predict([None, None], np.eye(12)[:2] * 6)
    assert found.uses in {"prior", "prior+text", "text"}
    assert said[0, 0] < 0.4
    assert said[1, 0] > 0.6


def test_without_segments_and_without_a_pattern_it_is_constant() -> None:
    scores, _, vectors = scored(400, seed=5, by_segment=0.0)
    found = fit_triage(scores, [None] * 400, vectors, 1, TIERS)
    assert found.uses == "constant"
    assert found.predict([None], vectors[:1])[0] == pytest.approx(scores.mean(axis=0))


def test_the_outside_of_a_text_counts_where_it_tells() -> None:
    chance = np.random.default_rng(4)
    long = chance.random(600) < 0.5
    texts = ["word " * int(20 + 400 * one + chance.integers(20)) for one in long]
    right = np.stack([np.where(long, 0.1, 0.9), np.full(600, 0.8)], axis=1)
    scores = (chance.random((600, 2)) < right) * 1.0
    shapes = shapes_of(texts)
    found = fit_triage(scores, ["a", "b"] * 300, None, 1, ("small", "big"), shapes=shapes)
    said = found.predict(["a", "a"], None, shapes_of(["word " * 30, "word " * 430]))
    assert found.card.shape
    assert said[0, 0] > 0.7
    assert said[1, 0] < 0.3


def test_out_of_fold_values_are_as_good_as_values_on_fresh_rows() -> None:
    gaps = []
    for seed in range(10):
        scores, segments, vectors = scored(300, seed=seed, by_text=0.2, by_segment=0.2)
        found, held = crossfit(scores, segments, vectors, seed, TIERS)
        fresh, named, lie = scored(4000, seed=seed + 100, by_text=0.2, by_segment=0.2)
        honest = error_of_difference(found.predict(named, lie), fresh)
        gaps.append(error_of_difference(held, scores) - honest)
    assert abs(np.mean(gaps)) < 3 * np.std(gaps) / np.sqrt(len(gaps)) + 0.01


def test_a_row_is_predicted_without_its_duplicates() -> None:
    chance = np.random.default_rng(6)
    base = chance.standard_normal((60, 12))
    coin = (chance.random((60, 2)) < 0.5) * 1.0
    scores, vectors = np.repeat(coin, 6, axis=0), np.repeat(base, 6, axis=0)
    groups = [f"text {i // 6}" for i in range(360)]
    _, held = crossfit(scores, ["a", "b"] * 180, vectors, 1, ("x", "y"), groups=groups)
    for group in range(60):
        assert np.ptp(held[group * 6 : group * 6 + 6 : 2], axis=0) == pytest.approx(0, abs=1e-9)
    assert abs(np.corrcoef(held[:, 0] - held[:, 1], scores[:, 0] - scores[:, 1])[0, 1]) < 0.4


def test_unknown_scores_are_borne_and_rows_without_any_change_no_mean() -> None:
    scores, segments, _ = scored(900)
    holes = np.where(np.random.default_rng(7).random(scores.shape) < 0.4, np.nan, scores)
    found = fit_triage(holes, segments, None, 1, TIERS)
    said = found.predict(["kind 0", "kind 1", "kind 2"], None)
    assert said[:, 0] == pytest.approx([0.2, 0.5, 0.8], abs=0.12)
    more = np.vstack([scores, np.full((50, 3), np.nan)])
    wide = fit_triage(more, [*segments, *["kind 0"] * 50], None, 1, TIERS)
    assert wide.card.n == 900
    assert wide.fitted.mean == pytest.approx(scores.mean(axis=0))


def test_one_tier_and_tiers_that_are_always_right_or_wrong_are_borne() -> None:
    scores, segments, vectors = scored(200)
    alone = fit_triage(scores[:, :1], segments, vectors, 1, ("small",))
    assert alone.predict(segments, vectors).shape == (200, 1)
    flat = np.tile([0.0, 1.0], (200, 1))
    sure = fit_triage(flat, segments, vectors, 1, ("wrong", "right"))
    assert sure.predict(segments[:5], vectors[:5]) == pytest.approx(flat[:5])
    assert not sure.worth


def test_predictions_stay_between_0_and_1() -> None:
    scores, segments, vectors = scored(300, by_text=0.3)
    said = fit_triage(scores, segments, vectors, 1, TIERS).predict(segments, vectors * 1000)
    assert said.min() >= 0
    assert said.max() <= 1


def test_familiarity_is_uniform_on_fresh_rows_and_low_on_strange_ones() -> None:
    scores, segments, vectors = scored(600)
    found = fit_triage(scores, segments, vectors, 1, TIERS)
    _, _, fresh = scored(2000, seed=8)
    assert found.familiar(fresh).mean() == pytest.approx(0.5, abs=0.06)
    assert found.familiar(np.full((1, 12), 9.0))[0] < 0.01
    assert found.familiar(np.zeros((1, 12)))[0] == 0


def test_equal_data_give_equal_bytes_and_the_file_gives_the_value_back(tmp_path: Path) -> None:
    rows = scored(300, by_text=0.3)
    first, second = (fit_triage(*rows, 1, TIERS) for _ in range(2))
    assert dump_triage(first) == dump_triage(second)
    path = save_triage(first, tmp_path / "models", "intent")
    back = load_triage(path, digest_triage(first))
    assert back.card == first.card
    assert (back.predict(rows[1], rows[2]) == first.predict(rows[1], rows[2])).all()
    assert (back.familiar(rows[2]) == first.familiar(rows[2])).all()


def saved(tmp_path: Path) -> tuple[Path, Triage]:
    found = fit_triage(*scored(200, by_text=0.3), 1, TIERS)
    return save_triage(found, tmp_path, "intent"), found


@pytest.mark.parametrize("keep", [0, 4, 100, -10])
def test_a_cut_file_is_an_error_that_names_it(tmp_path: Path, keep: int) -> None:
    path, _ = saved(tmp_path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(WeightsError, match="not a triage"):
        load_triage(path)


def test_another_file_than_the_locked_one_is_refused(tmp_path: Path) -> None:
    path, found = saved(tmp_path)
    with pytest.raises(WeightsError, match="has digest"):
        load_triage(path, "sha256:" + "0" * 64)
    with pytest.raises(WeightsError, match="Cannot read"):
        load_triage(tmp_path / "none.safetensors", digest_triage(found))


def test_a_file_with_a_number_that_is_none_is_refused(tmp_path: Path) -> None:
    path, found = saved(tmp_path)
    data = bytearray(path.read_bytes())
    at = data.index(found.fitted.mean.tobytes())
    data[at : at + 8] = np.float64(np.nan).tobytes()
    path.write_bytes(bytes(data))
    with pytest.raises(WeightsError, match="mean of shape"):
        load_triage(path)


def test_bad_input_is_refused_by_rule() -> None:
    scores, segments, vectors = scored(50)
    with pytest.raises(DataError, match=r"outside 0\.0\.\.1\.0"):
        fit_triage(scores + 1, segments, vectors, 1, TIERS)
    with pytest.raises(DataError, match="do not fit 50 segments"):
        fit_triage(scores, segments, vectors, 1, TIERS[:2])
    with pytest.raises(DataError, match="do not fit 50 rows"):
        fit_triage(scores, segments, vectors[:9], 1, TIERS)
    with pytest.raises(DataError, match="needs 10"):
        fit_triage(scores[:9], segments[:9], vectors[:9], 1, TIERS)
    with pytest.raises(DataError, match="one group"):
        fit_triage(scores, segments, vectors, 1, TIERS, groups=["same"] * 50)
    silent = np.column_stack([scores[:, :2], np.full(50, np.nan)])
    with pytest.raises(DataError, match="frontier"):
        fit_triage(silent, segments, vectors, 1, TIERS)


def test_vectors_of_another_encoder_are_refused() -> None:
    scores, segments, vectors = scored(50)
    found = fit_triage(scores, segments, vectors, 1, TIERS)
    with pytest.raises(DataError, match="where"):
        found.predict(segments[:2], vectors[:2, :5])
    with pytest.raises(DataError, match="fitted without vectors"):
        fit_triage(scores, segments, None, 1, TIERS).familiar(vectors)
