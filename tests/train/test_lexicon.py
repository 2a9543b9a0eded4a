"""A lexicon reads training texts alone, says the same every time, and is kept only if it pays."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from stepdown.core.digest import digest
from stepdown.errors import WeightsError
from stepdown.train import (
    Expert,
    Head,
    HeadRecipe,
    Lexicon,
    dump_head,
    fit_head,
    fit_lexicon,
    load_head,
    save_head,
)
from stepdown.train.lexicon import lexical_by_fold

RECIPE = HeadRecipe(penalties=(1.0, 0.1))


class Length:
    """A fake encoder that sees hardly anything: whether a text is long."""

    name = "length"
    dim = 2

    def __init__(self) -> None:
        self.digest = digest("length")

    def embed(self, texts: list[str]) -> NDArray[np.float32]:
        long = np.array([len(text) > 12 for text in texts], dtype=np.float32)
        return np.stack([long, 1 - long], axis=1)


def telling(n: int = 120) -> tuple[list[str], list[str]]:
    """Messages whose label only their words tell."""
    rng = np.random.default_rng(4)
    labels = [("refund", "parcel")[int(rng.integers(2))] for _ in range(n)]
    fill = ["please", "hello", "quickly", "again"]
    return [f"{rng.choice(fill)} my {label} {at}" for at, label in enumerate(labels)], labels


def noise(n: int = 120) -> tuple[list[str], list[str]]:
    """Messages whose words have nothing to do with their label."""
    rng = np.random.default_rng(5)
    letters = list("abcdefghij")
    texts = [" ".join("".join(rng.choice(letters, 3)) for _ in range(4)) for _ in range(n)]
    return texts, [("x", "y")[int(rng.integers(2))] for _ in range(n)]


def fit(rows: tuple[list[str], list[str]], **how: Any) -> Head:
    return fit_head(*rows, Length(), task="t", name="n", **{"recipe": RECIPE, **how})


def lexicon_of(texts: list[str]) -> Lexicon:
    lexicon = fit_lexicon(texts)
    assert lexicon is not None
    return lexicon


def test_equal_texts_give_an_equal_lexicon() -> None:
    first, second = lexicon_of(telling()[0]), lexicon_of(telling()[0])
    assert first.grams == second.grams
    assert first.projection.tobytes() == second.projection.tobytes()
    assert first.idf.tobytes() == second.idf.tobytes()


def test_unseen_words_give_zeros() -> None:
    lexicon = lexicon_of(telling()[0])
    assert not lexicon.embed(["zzqx vvkk", "", " "]).any()
    assert lexicon.embed(["refund"]).any()


def test_a_vector_does_not_depend_on_its_neighbours() -> None:
    texts = telling()[0]
    lexicon = lexicon_of(texts)
    alone = np.vstack([lexicon.embed([text]) for text in texts[:10]])
    assert np.array_equal(lexicon.embed(texts)[:10], alone)


def test_case_width_and_white_space_make_no_difference() -> None:
    lexicon = lexicon_of(telling()[0])
    plain, other = lexicon.embed(["my refund", "\uff2d\uff39 \n\t ReFund"])
    assert np.array_equal(plain, other)


def test_the_projection_keeps_the_likeness_of_training_texts() -> None:
    """Inner products of the vectors are those of the n-gram weights, but for the rounding."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = telling(40)[0]
    how = {"sublinear_tf": True, "min_df": 2}
    words = TfidfVectorizer(token_pattern=r"\w+", ngram_range=(1, 2), **how)
    kernel = words.fit_transform(texts)
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), **how).fit_transform(texts)
    wanted = (kernel @ kernel.T + letters @ letters.T).toarray()
    vectors = lexicon_of(texts).embed(texts)
    assert np.abs(vectors @ vectors.T - wanted).mean() < 0.03


def test_texts_without_a_common_n_gram_give_no_lexicon() -> None:
    assert fit_lexicon(["abc", "xyz"]) is None
    assert fit_lexicon([]) is None


def test_an_odd_text_does_no_harm() -> None:
    lexicon = lexicon_of(["a \ud800 b", "a \ud800 b", "x" * 200, "x" * 200])
    assert max(map(len, lexicon.grams)) <= 64
    assert np.isfinite(lexicon.embed(["\ud800 a b " * 50])).all()


def test_more_rows_than_the_dense_fit_takes_give_nearly_the_same_vectors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts = telling(60)[0]
    dense = lexicon_of(texts).embed(texts)
    monkeypatch.setattr("stepdown.train.lexicon._DENSE_ROWS", 10)
    sketch = lexicon_of(texts).embed(texts)
    assert np.abs(dense @ dense.T - sketch @ sketch.T).max() < 0.02


def test_out_of_fold_vectors_use_no_text_of_the_fold() -> None:
    texts = telling()[0]
    folds = np.arange(len(texts), dtype=np.intp) % 3
    planted = [t + " zqxvk" if at == 1 else t for t, at in zip(texts, folds, strict=True)]
    without, with_it = lexical_by_fold(texts, folds)[1], lexical_by_fold(planted, folds)[1]
    assert without is not None
    assert with_it is not None
    assert np.array_equal(without, with_it)
    assert "\tzqxvk" in lexicon_of(planted).grams


def test_a_lexicon_that_pays_is_kept_and_answers() -> None:
    texts, labels = telling()
    head = fit((texts, labels))
    assert head.card.lexical_scale > 0
    assert head.card.lexical_dim == head.lexicon.dim if head.lexicon else False
    said = Expert(head, Length()).predict(["my refund", "my parcel"])
    assert [one.label for one in said] == ["refund", "parcel"]
    assert head.card.out_of_fold_accuracy > 0.95


def test_a_lexicon_that_does_not_pay_is_left_out() -> None:
    head = fit(noise())
    assert (head.card.lexical_scale, head.card.lexical_dim, head.lexicon) == (0.0, 0, None)
    assert b"lexical" not in dump_head(head)
    assert b"lexicon" not in dump_head(head)


def test_above_the_limit_of_rows_there_is_no_lexicon() -> None:
    recipe = msgspec.structs.replace(RECIPE, lexical_rows=100)
    assert fit(telling(), recipe=recipe).lexicon is None


def test_a_head_with_a_lexicon_survives_its_file(tmp_path: Path) -> None:
    texts = telling()[0]
    head = fit(telling())
    assert dump_head(head) == dump_head(fit(telling()))
    back = load_head(save_head(head, tmp_path), head.digest)
    assert back.card == head.card
    assert back.digest == head.digest
    mine, theirs = (Expert(one, Length()).predict_proba(texts) for one in (back, head))
    assert np.array_equal(mine, theirs)


def test_a_head_with_a_lexicon_says_what_it_misses() -> None:
    with pytest.raises(ValueError, match="has a lexicon: give lexical vectors"):
        fit(telling()).predict_proba(np.zeros((1, 2), dtype=np.float32))


def test_a_head_without_a_lexicon_takes_no_lexical_vectors() -> None:
    zeros = np.zeros((1, 2), dtype=np.float32)
    with pytest.raises(ValueError, match="no lexicon"):
        fit(noise()).predict_proba(zeros, zeros)


@pytest.mark.parametrize(
    "damage",
    [
        {"lexicon_words": np.frombuffer(b"a\na", dtype=np.uint8)},
        {"lexicon_words": np.frombuffer(b"\xff\xfe", dtype=np.uint8)},
        {"lexicon_words": None},
        {"lexicon_idf": np.ones(3, dtype=np.float32)},
        {"lexicon_projection": np.ones((1, 1), dtype=np.float16)},
        {"lexicon_projection": np.ones(5, dtype=np.float32)},
        {"lexicon_projection": "nan"},
    ],
)
def test_a_lexicon_that_does_not_fit_is_refused(tmp_path: Path, damage: dict[str, Any]) -> None:
    from safetensors.numpy import load, save

    head = fit(telling(40), recipe=HeadRecipe(penalties=(0.1,), lexical_scales=(1.0,)))
    arrays: dict[str, Any] = dict(load(dump_head(head)))
    for name, array in damage.items():
        arrays[name] = arrays[name] * np.float16("nan") if isinstance(array, str) else array
    arrays = {name: array for name, array in arrays.items() if array is not None}
    card = msgspec.json.encode(head.card).decode()
    (tmp_path / "h.safetensors").write_bytes(save(arrays, {"stepdown": card}))
    with pytest.raises(WeightsError, match="not a head"):
        load_head(tmp_path / "h.safetensors")


def test_a_lexicon_beyond_the_limits_is_refused() -> None:
    grams = tuple(str(at) for at in range(16_385))
    with pytest.raises(ValueError, match="different n-grams"):
        Lexicon(grams, np.ones(16_385, np.float32), np.ones((16_385, 1), np.float16))


def test_a_file_too_large_to_be_a_head_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "big.safetensors"
    with path.open("wb") as stream:
        stream.truncate(300 * 2**20)
    with pytest.raises(WeightsError, match="at most"):
        load_head(path)


def test_a_scale_must_be_above_zero() -> None:
    with pytest.raises(ValueError, match="lexical_scales"):
        HeadRecipe(lexical_scales=(0.0, 1.0))


def test_folding_the_weights_into_the_projection_changes_no_answer() -> None:
    texts = telling()[0]
    lexicon = lexicon_of(texts)
    weights = np.random.default_rng(6).normal(size=(lexicon.dim, 3)).astype(np.float32)
    wanted = lexicon.embed(texts) @ weights
    assert lexicon.folded(weights).embed(texts) == pytest.approx(wanted, abs=0.01)
    assert fit(telling()).card.lexical_dim == 2
