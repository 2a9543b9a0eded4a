"""The ONNX graph computes what BERT computes: an independent numpy forward pass says so."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from scipy.special import erf
from tokenizers import Tokenizer

from stepdown.adapters.encoders.minilm import MiniLM, load_minilm
from stepdown.adapters.weights import is_cached, load_catalogue, pull
from stepdown.errors import WeightsError

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "where", "is", "my", "card", "##s", "?", "now"]
TEXTS = ["where is my card?", "cards", "where is my card now now now now?", "zzz", ""]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of two layers with random numbers, in the file layout of the real one."""
    home, rng = tmp_path_factory.mktemp("tiny"), np.random.default_rng(7)
    dim, wide, layers = 24, 48, 2
    shapes = {"embeddings.word_embeddings.weight": (len(WORDS), dim)}
    shapes |= {"embeddings.position_embeddings.weight": (32, dim)}
    shapes |= {"embeddings.token_type_embeddings.weight": (2, dim)}
    shapes |= {f"embeddings.LayerNorm.{part}": (dim,) for part in ("weight", "bias")}
    for layer in range(layers):
        at = f"encoder.layer.{layer}"
        for name in ("attention.self.query", "attention.self.key", "attention.self.value"):
            shapes |= {f"{at}.{name}.weight": (dim, dim), f"{at}.{name}.bias": (dim,)}
        for name, (rows, columns) in {
            "attention.output.dense": (dim, dim),
            "intermediate.dense": (wide, dim),
            "output.dense": (dim, wide),
        }.items():
            shapes |= {f"{at}.{name}.weight": (rows, columns), f"{at}.{name}.bias": (rows,)}
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes |= {f"{at}.{name}.{part}": (dim,) for part in ("weight", "bias")}
    tensors = {k: rng.normal(0, 0.5, v).astype(np.float32) for k, v in shapes.items()}
    save_file(tensors, home / "model.safetensors")
    config = {"num_hidden_layers": layers, "num_attention_heads": 3, "layer_norm_eps": 1e-12}
    config |= {"hidden_act": "gelu", "max_position_embeddings": 32}
    (home / "config.json").write_text(json.dumps(config))
    write_tokenizer(home / "tokenizer.json")
    return home / "model.safetensors"


def write_tokenizer(path: Path) -> None:
    from tokenizers import models, normalizers, pre_tokenizers, processors

    vocabulary = {word: at for at, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(path))


def reference(weights: Path, ids: list[int]) -> NDArray[Any]:
    """Devlin et al. (2019) in plain numpy, one text at a time, float64."""
    t = {k: v.astype(np.float64) for k, v in load_file(weights).items() if v.dtype == np.float32}
    config = json.loads(weights.with_name("config.json").read_text())
    heads = config["num_attention_heads"]

    def norm(x: NDArray[Any], at: str) -> NDArray[Any]:
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12)
        return scaled * t[f"{at}.weight"] + t[f"{at}.bias"]

    def dense(x: NDArray[Any], at: str) -> NDArray[Any]:
        return x @ t[f"{at}.weight"].T + t[f"{at}.bias"]

    x = t["embeddings.word_embeddings.weight"][ids]
    x = x + t["embeddings.position_embeddings.weight"][: len(ids)]
    x = norm(x + t["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    for layer in range(config["num_hidden_layers"]):
        at = f"encoder.layer.{layer}"
        q, k, v = (
            dense(x, f"{at}.attention.self.{n}").reshape(len(ids), heads, -1).swapaxes(0, 1)
            for n in ("query", "key", "value")
        )
        scores = q @ k.swapaxes(1, 2) / np.sqrt(q.shape[-1])
        weights_ = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (weights_ / weights_.sum(-1, keepdims=True)) @ v
        mixed = mixed.swapaxes(0, 1).reshape(len(ids), -1)
        x = norm(
            x + dense(mixed, f"{at}.attention.output.dense"), f"{at}.attention.output.LayerNorm"
        )
        wide = dense(x, f"{at}.intermediate.dense")
        wide = wide * 0.5 * (1 + erf(wide / np.sqrt(2)))
        x = norm(x + dense(wide, f"{at}.output.dense"), f"{at}.output.LayerNorm")
    pooled = x.mean(0)
    return pooled / np.linalg.norm(pooled)


def token_ids(weights: Path, texts: list[str], limit: int = 256) -> list[list[int]]:
    tokenizer = Tokenizer.from_file(str(weights.with_name("tokenizer.json")))
    tokenizer.no_padding()
    tokenizer.enable_truncation(limit)
    return [tokenizer.encode(text).ids for text in texts]


def test_the_graph_agrees_with_a_numpy_forward_pass(tiny: Path, tmp_path: Path) -> None:
    found = load_minilm(tiny, tmp_path, threads=1).embed(TEXTS)
    wanted = np.stack([reference(tiny, ids) for ids in token_ids(tiny, TEXTS)])
    assert (found * wanted).sum(axis=1).min() > 0.99999
    assert found.dtype == np.float32


def test_padding_beside_a_longer_text_changes_nothing(tiny: Path, tmp_path: Path) -> None:
    encoder = load_minilm(tiny, tmp_path, threads=1)
    alone = np.vstack([encoder.embed([text]) for text in TEXTS])
    assert encoder.embed(TEXTS) == pytest.approx(alone, abs=1e-5)


def test_rows_come_back_in_the_order_of_the_texts_across_batches(
    tiny: Path, tmp_path: Path
) -> None:
    encoder = load_minilm(tiny, tmp_path, threads=1)
    texts = [TEXTS[at % 3] for at in range(100)]
    found = encoder.embed(texts)
    assert found == pytest.approx(encoder.embed(TEXTS[:3])[np.arange(100) % 3], abs=1e-5)
    assert encoder.embed([]).shape == (0, encoder.dim)


def test_a_text_beyond_the_limit_is_cut(tiny: Path, tmp_path: Path) -> None:
    encoder = load_minilm(tiny, tmp_path, threads=1, max_tokens=6)
    long, cut = encoder.embed(["where is my card now now now", "where is my card"])
    assert long == pytest.approx(cut, abs=1e-6)


def test_the_graph_is_built_once_and_the_digest_names_weights_and_limit(
    tiny: Path, tmp_path: Path
) -> None:
    first = load_minilm(tiny, tmp_path, threads=1)
    (built,) = (tmp_path / "encoders").iterdir()
    stamp = built.stat().st_mtime_ns
    assert load_minilm(tiny, tmp_path, threads=1).digest == first.digest
    assert built.stat().st_mtime_ns == stamp
    assert load_minilm(tiny, tmp_path, threads=1, max_tokens=8).digest != first.digest


def test_files_that_are_missing_or_no_encoder_are_said_plainly(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"model\.safetensors"):
        load_minilm(tmp_path / "model.safetensors", tmp_path)
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes(tiny.with_name(name).read_bytes())
    save_file({"x": np.ones(1, np.float32)}, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match="not a BERT encoder"):
        load_minilm(tmp_path / "model.safetensors", tmp_path)
    assert not (tmp_path / "encoders").exists()


def test_word_pieces_have_the_vectors_that_are_pooled(tiny: Path, tmp_path: Path) -> None:
    encoder = load_minilm(tiny, tmp_path, threads=1)
    found = encoder.embed_pieces(TEXTS[0])
    assert len(found.starts) == len(token_ids(tiny, TEXTS[:1])[0]) - 2
    assert found.vectors.shape[1] == encoder.piece_dim
    assert found.vectors.dtype == np.float32
    assert encoder.contextual
    assert encoder.piece_digest != encoder.digest


def test_long_texts_are_read_in_windows_that_agree_where_they_overlap(
    real: tuple[Path, MiniLM],
) -> None:
    _, encoder = real
    text = "The parcel has not arrived and nobody answers the telephone. " * 40
    found = encoder.embed_pieces(text)
    assert len(found.starts) > 400
    assert found.starts.tolist() == sorted(found.starts.tolist())
    once = encoder.embed_pieces(text[: int(found.starts[100])])
    unit = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in (found.vectors, once.vectors)]
    assert (unit[0][:80] * unit[1][:80]).sum(axis=1).mean() > 0.9
    assert encoder.embed_pieces("").vectors.shape == (0, 384)


@pytest.fixture(scope="module")
def real(model_cache: Path) -> tuple[Path, MiniLM]:
    if not is_cached("all-minilm-l6-v2", model_cache, load_catalogue()):
        pytest.skip("all-minilm-l6-v2 is not in the cache: run 'stepdown models pull'")
    weights = pull("all-minilm-l6-v2", model_cache)
    return weights, load_minilm(weights, model_cache, threads=1)


def test_the_real_encoder_agrees_with_numpy(real: tuple[Path, MiniLM]) -> None:
    weights, encoder = real
    texts = ["I am still waiting on my card?", "Überweisung fehlgeschlagen!", "now " * 40]
    wanted = np.stack([reference(weights, np.array(i)) for i in short(token_ids(weights, texts))])
    assert (encoder.embed(texts) * wanted).sum(axis=1).min() > 0.9999


def short(rows: list[list[int]]) -> list[list[int]]:
    return [row[:256] for row in rows]


def test_the_real_encoder_gives_the_published_similarities(real: tuple[Path, MiniLM]) -> None:
    """Source: the semantic-search example of the Sentence Transformers documentation."""
    _, encoder = real
    asked, food, bread = encoder.embed(
        ["A man is eating pasta.", "A man is eating food.", "A man is eating a piece of bread."]
    )
    assert asked @ food == pytest.approx(0.7035, abs=2e-4)
    assert asked @ bread == pytest.approx(0.5272, abs=2e-4)
