"""Rebuild the static encoder that ships in the package from all-MiniLM-L6-v2.

Usage: python tools/build_static_encoder.py CACHE_DIR [--check]

Every vocabulary entry runs alone through the transformer; principal components to 256
dimensions; weight by expected word frequency (the vocabulary is in order of frequency); int8 with
one scale a row. Method: Tulkens and van Dongen (2024), Model2Vec; weighting: Arora et al. (2017),
"A simple but tough-to-beat baseline for sentence embeddings", a = 1e-4, with Zipf frequencies.

The result is the same bit for bit on one machine and runtime. Elsewhere rounding differs: `--check`
rebuilds, compares with the shipped file, and fails unless every entry is within one int8 step and
99.9% are equal.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save
from tokenizers import Tokenizer

from stepdown.adapters.encoders.minilm import load_minilm
from stepdown.adapters.encoders.static import NAME
from stepdown.adapters.weights import load_catalogue, pull

SOURCE = "all-minilm-l6-v2"
DIM = 256
SIF_A = 1e-4
TARGET = Path(__file__).parents[1] / "src/stepdown/adapters/encoders/data" / f"{NAME}.safetensors"
Floats = NDArray[np.float32]


def main() -> int:
    """Build, then write or compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cache_dir", type=Path)
    parser.add_argument("--check", action="store_true", help="compare with the shipped file")
    chosen = parser.parse_args()
    weights = pull(SOURCE, chosen.cache_dir)
    words = vocabulary(weights.with_name("tokenizer.json"))
    vectors, scales = quantise(distil(weights, chosen.cache_dir, words))
    return compare(vectors, scales) if chosen.check else write(vectors, scales, words)


def vocabulary(tokenizer_file: Path) -> list[str]:
    """Return the word pieces in order of their numbers."""
    pieces = Tokenizer.from_file(str(tokenizer_file)).get_vocab()
    return sorted(pieces, key=lambda piece: pieces[piece])


def distil(weights: Path, cache_dir: Path, words: list[str]) -> Floats:
    """Return one weighted vector per word piece, shape (pieces, DIM)."""
    encoder = load_minilm(weights, cache_dir, threads=1)
    first, last = words.index("[CLS]"), words.index("[SEP]")
    raw = encoder.embed_ids([[first, piece, last] for piece in range(len(words))])
    return principal(raw.astype(np.float64)) * frequency_weights(len(words))


def principal(raw: NDArray[np.float64]) -> Floats:
    """Project on the DIM largest principal components; signs are fixed to be repeatable."""
    centred = raw - raw.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    axes = axes[:, ::-1][:, :DIM]
    largest = axes[np.abs(axes).argmax(axis=0), np.arange(DIM)]
    return (centred @ (axes * np.sign(largest))).astype(np.float32)


def frequency_weights(pieces: int) -> Floats:
    """Return a / (a + p), p by Zipf's law from the place in the vocabulary; shape (pieces, 1)."""
    inverse_rank = 1 / np.arange(2, pieces + 2)
    share = inverse_rank / inverse_rank.sum()
    return (SIF_A / (SIF_A + share)).astype(np.float32)[:, None]


def quantise(vectors: Floats) -> tuple[NDArray[np.int8], Floats]:
    """Return int8 rows and the float32 scale of each row."""
    scales = (np.abs(vectors).max(axis=1) / 127).astype(np.float32)
    return np.rint(vectors / scales[:, None]).astype(np.int8), scales


def write(vectors: NDArray[np.int8], scales: Floats, words: list[str]) -> int:
    """Write vectors and vocabulary; one metadata key, because several have no fixed order."""
    entry = load_catalogue().find(SOURCE)
    card = {"source": entry.source, "licence": "Apache-2.0", "from_package_sha256": entry.sha256}
    data = save({"vectors": vectors, "scales": scales}, {"card": json.dumps(card, sort_keys=True)})
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_bytes(data)
    TARGET.with_suffix(".vocab.txt").write_text("\n".join(words), encoding="utf-8", newline="\n")
    print(f"wrote {TARGET.name}: {len(data):,} bytes", file=sys.stderr)
    return 0


def compare(vectors: NDArray[np.int8], scales: Floats) -> int:
    """Return 0 when the rebuilt tables equal the shipped ones within the stated tolerance."""
    shipped = load(TARGET.read_bytes())
    steps = np.abs(vectors.astype(np.int16) - shipped["vectors"])
    equal = float((steps == 0).mean())
    drift = float(np.abs(scales / shipped["scales"] - 1).max())
    print(
        f"equal {equal:.6f}, largest step {steps.max()}, scale drift {drift:.1e}", file=sys.stderr
    )
    return 0 if equal >= 0.999 and steps.max() <= 1 and drift < 1e-4 else 1


if __name__ == "__main__":
    sys.exit(main())
