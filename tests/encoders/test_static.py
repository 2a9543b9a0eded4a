"""The static encoder ships in the package, is fast, and knows which words are alike."""

import time
from pathlib import Path

import numpy as np
import pytest

from stepdown.adapters.encoders.static import load_static
from stepdown.errors import WeightsError
from stepdown.ports.encoder import Encoder, TokenEncoder


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return load_static()


def test_vectors_have_length_one_whatever_the_text(encoder: Encoder) -> None:
    texts = ["Where is my parcel?", "ÜBER Größe 日本 😀", "x" * 90, "word " * 5000]
    vectors = encoder.embed(texts)
    assert vectors.shape == (4, encoder.dim)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)


def test_a_text_without_words_is_the_zero_vector_and_no_text_is_no_row(encoder: Encoder) -> None:
    no_piece_is_that_long = "x" * 5000
    assert not encoder.embed(["", "   ", no_piece_is_that_long]).any()
    assert encoder.embed([]).shape == (0, encoder.dim)


def test_one_text_and_a_batch_give_the_same_vector(encoder: Encoder) -> None:
    texts = ["Where is my parcel?", "I want my money back", "Hello"]
    alone = np.vstack([encoder.embed([text]) for text in texts])
    assert np.array_equal(alone, encoder.embed(texts))


def test_texts_of_one_meaning_are_nearer_than_texts_of_another(encoder: Encoder) -> None:
    asked, same, other = encoder.embed(
        ["my parcel has not arrived", "the package was never delivered", "cancel my subscription"]
    )
    assert asked @ same > asked @ other + 0.05


def test_the_digest_follows_the_files(encoder: Encoder, tmp_path: Path) -> None:
    from safetensors.numpy import save

    assert encoder.digest == load_static().digest
    tables = {"vectors": np.ones((2, 4), np.int8), "scales": np.ones(2, np.float32)}
    (tmp_path / "v.safetensors").write_bytes(save(tables))
    (tmp_path / "v.vocab.txt").write_text("[UNK]\nhi")
    other = load_static(tmp_path / "v.safetensors")
    assert other.digest != encoder.digest
    assert other.dim == 12
    assert not other.embed(["unseen"]).any()
    assert other.embed(["hi"]).any()


def test_a_missing_or_damaged_file_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="Cannot read the static encoder"):
        load_static(tmp_path / "none.safetensors")
    (tmp_path / "v.safetensors").write_bytes(b"not tensors at all")
    (tmp_path / "v.vocab.txt").write_text("[UNK]")
    with pytest.raises(WeightsError, match="Cannot read the static encoder"):
        load_static(tmp_path / "v.safetensors")


@pytest.mark.slow
def test_one_text_takes_less_than_a_fifth_of_a_millisecond(encoder: Encoder) -> None:
    text, spent = "I am still waiting for my card, what shall I do?", []
    for _ in range(300):
        start = time.perf_counter()
        encoder.embed([text])
        spent.append(time.perf_counter() - start)
    assert np.median(spent) < 0.0002


def test_word_pieces_stand_where_they_begin_in_texts_of_any_length(encoder: TokenEncoder) -> None:
    text = "the " + "x" * 5000 + " and the"
    found = encoder.embed_pieces(text)
    assert found.starts.tolist() == [0, 5005, 5009]  # what no piece is made of is left out
    assert found.vectors.shape == (3, encoder.piece_dim)
    assert np.array_equal(found.vectors[0], found.vectors[2])
    assert len(encoder.embed_pieces("word " * 5000).starts) == 5000
    assert encoder.embed_pieces("").vectors.shape == (0, encoder.piece_dim)
    assert not encoder.contextual
