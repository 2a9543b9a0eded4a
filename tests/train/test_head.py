"""A head is trained on its rows alone, honest about them, and the same file every time."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from letters import Letters, rows

from stepdown.core.digest import digest
from stepdown.errors import DataError, WeightsError
from stepdown.train import Expert, Head, HeadRecipe, dump_head, fit_head, load_head, save_head
from stepdown.train.familiarity import Familiarity
from stepdown.train.folds import assign_folds
from stepdown.train.logistic import fit_path


def fit(n: int = 300, **how: Any) -> Head:
    """Fit on the embedding alone unless told otherwise; test_lexicon.py has what stands beside."""
    recipe = how.pop("recipe", HeadRecipe(lexical_scales=()))
    return fit_head(*rows(n), Letters(), task="intent", name="letters", recipe=recipe, **how)


def test_a_head_learns_and_its_probabilities_are_honest() -> None:
    head = fit(600, recipe=HeadRecipe())
    texts, labels = rows(2000, seed=2)
    probabilities = Expert(head, Letters()).predict_proba(texts)
    right = np.array(head.labels)[probabilities.argmax(axis=1)] == np.array(labels)
    assert probabilities.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert right.mean() > 0.7
    assert abs(probabilities.max(axis=1).mean() - right.mean()) < 0.03
    assert abs(head.card.out_of_fold_accuracy - right.mean()) < 0.05


def test_the_fit_is_the_minimum_that_an_independent_library_finds() -> None:
    from sklearn.linear_model import LogisticRegression

    texts, labels = rows(400)
    features = Letters().embed(texts)
    names = sorted(set(labels))
    coded = np.searchsorted(names, labels)
    mine = fit_path(features, coded, 3, (0.1 / 400,), max_iterations=1000, tolerance=1e-12)[0]
    theirs = LogisticRegression(C=10.0, tol=1e-10, max_iter=10_000).fit(features, coded)
    apart = mine.logits(features) - theirs.decision_function(features).astype(np.float32)
    assert np.ptp(apart, axis=1).max() < 0.02


def test_equal_data_give_equal_bytes_and_a_date_is_written_only_when_given() -> None:
    first, second = dump_head(fit()), dump_head(fit())
    assert first == second
    assert dump_head(fit(created="2026-11-22")) != first
    assert fit().card.created is None


def test_a_head_survives_its_file(tmp_path: Path) -> None:
    head = fit()
    path = save_head(head, tmp_path / "models")
    assert path.name == f"intent-letters-{head.digest.removeprefix('sha256:')[:12]}.safetensors"
    back = load_head(path, head.digest)
    assert back.card == head.card
    texts = rows(20)[0]
    features = Letters().embed(texts)
    mine, theirs = (Expert(one, Letters()).predict_proba(texts) for one in (back, head))
    assert np.array_equal(mine, theirs)
    assert np.array_equal(back.familiarity.score(features), head.familiarity.score(features))
    assert save_head(back, tmp_path / "models") == path
    assert [item.name for item in path.parent.iterdir()] == [path.name]


def test_a_file_that_is_missing_changed_or_no_head_is_refused(tmp_path: Path) -> None:
    head = fit()
    path = save_head(head, tmp_path)
    with pytest.raises(WeightsError, match="Cannot read the head"):
        load_head(tmp_path / "none.safetensors")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(WeightsError, match="has digest"):
        load_head(path, head.digest)
    for damage in (b"", b"x" * 40, bytes(data[:200]), (2**62).to_bytes(8, "little") + b"{}"):
        path.write_bytes(damage)
        with pytest.raises(WeightsError, match="not a head"):
            load_head(path)


def test_numbers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    from safetensors.numpy import load, save

    head = fit()
    arrays = {name: array.copy() for name, array in load(dump_head(head)).items()}
    arrays["bias"][0] = np.nan
    card = msgspec.json.encode(head.card).decode()
    (tmp_path / "h.safetensors").write_bytes(save(arrays, {"stepdown": card}))
    with pytest.raises(WeightsError, match="not a head"):
        load_head(tmp_path / "h.safetensors")


def test_a_head_is_frozen() -> None:
    head = fit()
    with pytest.raises(ValueError, match="read-only"):
        head.linear.weights[0, 0] = 1


def test_a_head_refuses_another_encoder() -> None:
    other = Letters()
    other.digest = digest("other letters")
    with pytest.raises(WeightsError, match="was trained on letters"):
        Expert(fit(), other)


def test_text_unlike_the_training_rows_is_unfamiliar() -> None:
    expert = Expert(fit(600), Letters())
    known = [p.familiarity for p in expert.predict(rows(200, seed=3)[0])]
    strange = [p.familiarity for p in expert.predict(["zzqx jjvk", "xyxyxy", "qqq"])]
    assert 0.35 < float(np.mean(known)) < 0.65
    assert max(strange) < 0.05
    assert min(known) >= 0
    assert max(known) <= 1


def test_a_prediction_carries_the_whole_distribution() -> None:
    expert = Expert(fit(), Letters())
    (said,) = expert.predict(["money back refund"])
    assert said.label == "refund"
    assert said.label_probs["refund"] == max(said.label_probs.values())
    assert sum(said.label_probs.values()) == pytest.approx(1, abs=1e-5)
    assert tuple(said.label_probs) == expert.labels


def test_equal_texts_never_stand_on_both_sides_of_a_fold() -> None:
    groups = ["a", "b", "a", "c", "b", "d", "e", "f"]
    folds = assign_folds(["x", "y"] * 4, groups, 3, seed=5)
    for group in set(groups):
        assert len({int(f) for f, g in zip(folds, groups, strict=True) if g == group}) == 1
    assert set(folds.tolist()) == {0, 1, 2}


def test_folds_are_alike_in_labels_and_size() -> None:
    labels = ["rare"] * 6 + ["common"] * 60
    folds = assign_folds(labels, list(range(66)), 3, seed=9)
    assert np.bincount(folds).tolist() == [22, 22, 22]
    assert np.bincount(folds[:6]).tolist() == [2, 2, 2]


def test_fewer_groups_than_folds_gives_as_many_folds_as_groups() -> None:
    texts, labels = rows(60)
    head = fit_head(texts, labels, Letters(), task="t", name="n", groups=["shop a", "shop b"] * 30)
    assert head.card.folds == 2
    assert head.card.grouped


@pytest.mark.parametrize(
    ("texts", "labels", "groups"),
    [
        (["a", "b"], ["x"], None),
        (["a", "b"], ["x", "x"], None),
        (["a", "a"], ["x", "y"], None),
        (["a", "b"], ["x", "y"], ["g", "g"]),
        ([], [], None),
    ],
)
def test_rows_that_cannot_train_a_head_are_refused(
    texts: list[str], labels: list[str], groups: list[str] | None
) -> None:
    with pytest.raises(DataError, match=r"do not match|too few"):
        fit_head(texts, labels, Letters(), task="t", name="n", groups=groups)


def test_a_label_with_a_single_row_is_kept() -> None:
    texts, labels = rows(60)
    head = fit_head([*texts, "zz"], [*labels, "odd"], Letters(), task="t", name="n")
    assert dict(zip(head.labels, head.card.n_by_label, strict=True))["odd"] == 1


@pytest.mark.parametrize("how", [{"penalties": ()}, {"penalties": (1.0, 2.0)}, {"folds": 1}])
def test_a_recipe_that_cannot_be_fitted_is_refused(how: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"penalties|folds"):
        HeadRecipe(**how)


def test_a_name_cannot_lead_out_of_the_models_directory() -> None:
    texts, labels = rows(60)
    with pytest.raises(ValueError, match="plain file-name"):
        fit_head(texts, labels, Letters(), task="../x", name="n")


def test_in_scope_is_lower_for_strange_texts() -> None:
    expert = Expert(fit(300), Letters())
    known = [p.in_scope for p in expert.predict(rows(200, seed=3)[0])]
    strange = [p.in_scope for p in expert.predict(["zzqx jjvk", "xyxyxy", "qqq"])]
    assert max(strange) < np.quantile(known, 0.4)
    assert np.mean(strange) < np.quantile(known, 0.25)
    assert 0.4 < np.mean(known) < 0.6


def test_a_head_of_before_scope_was_kept_still_loads(tmp_path: Path) -> None:
    head = fit(120)
    bare = Familiarity(head.familiarity.centroids, head.familiarity.distances)
    old = Head(head.card, head.linear, bare, head.lexicon)
    back = load_head(save_head(old, tmp_path))
    said = Expert(back, Letters()).predict(["parcel late"])[0]
    assert said.in_scope == said.familiarity
