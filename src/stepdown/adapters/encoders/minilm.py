"""all-MiniLM-L6-v2 (and encoders of its build) on ONNX Runtime.

It does not know where the weights come from: the composition root hands it a file.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from stepdown.adapters.encoders.cut import count_cut
from stepdown.adapters.encoders.minilm_graph import RECIPE, BertShape, write_graph
from stepdown.errors import WeightsError
from stepdown.ports.encoder import PieceVectors

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

MAX_TOKENS = 256
"""Source: sentence_bert_config.json of sentence-transformers/all-MiniLM-L6-v2."""
_BATCH = 32
_WINDOW, _MARGIN = 224, 15
PIECES_RECIPE = f"windows of {_WINDOW} pieces with {_MARGIN} on either side/1"
"""Changes when the vectors of word pieces change."""


class MiniLM:
    """Encode texts with a small transformer: about 4 ms a text on two cores."""

    def __init__(self, name: str, digest: str, session: Any, tokenizer: Any) -> None:
        """Wrap an open session; use `load_minilm` to open one."""
        self._name, self._digest = name, digest
        self._session, self._tokenizer = session, tokenizer
        self._uncut: Any = None

    @property
    def name(self) -> str:
        """Name in the configuration."""
        return self._name

    @property
    def digest(self) -> str:
        """Digest of weights, tokenizer, graph recipe and token limit."""
        return self._digest

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self._session.get_outputs()[0].shape[1])

    def embed(self, texts: Sequence[str]) -> "NDArray[float32]":
        """Return unit vectors, shape (len(texts), dim). Texts beyond 256 tokens are cut."""
        encoded = self._tokenizer.encode_batch(list(texts), add_special_tokens=True)
        return self.embed_ids([item.ids for item in encoded])

    def reads_in_part(self, texts: Sequence[str]) -> int:
        """Return how many texts are cut at the encoder's limit."""
        return count_cut(self._tokenizer, texts, self._tokenizer.truncation["max_length"])

    @property
    def piece_dim(self) -> int:
        """Length of the vector of a word piece."""
        return self.dim

    @property
    def piece_digest(self) -> str:
        """Digest of the encoder and of the windows in which long texts are read."""
        text = f"{self._digest};{PIECES_RECIPE}"
        return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"

    @property
    def contextual(self) -> bool:
        """Every piece has read its neighbours."""
        return True

    def embed_pieces(self, text: str) -> PieceVectors:
        """Return the vectors of all word pieces of a text, read in windows that overlap."""
        import numpy as np

        uncut = self._uncut = self._uncut or _without_limit(self._tokenizer)
        framed = uncut.encode(text, add_special_tokens=True)
        ids, starts = framed.ids[1:-1], [start for start, _ in framed.offsets[1:-1]]
        vectors = np.empty((len(ids), self.dim), dtype=np.float32)
        for at in range(0, len(ids), _WINDOW):
            low, high = max(0, at - _MARGIN), at + _WINDOW + _MARGIN
            row = np.array([[framed.ids[0], *ids[low:high], framed.ids[-1]]], dtype=np.int32)
            feed = {"input_ids": row, "mask": np.ones_like(row)}
            read = self._session.run(["pieces"], feed)[0][0, 1:-1]
            vectors[at : at + _WINDOW] = read[at - low : at - low + _WINDOW]
        return PieceVectors(np.array(starts, dtype=np.intp), vectors)

    def embed_ids(self, ids: Sequence[Sequence[int]]) -> "NDArray[float32]":
        """Return unit vectors of token sequences, shape (len(ids), dim); special tokens are yours.

        This is how the static encoder is distilled: one vocabulary entry at a time.
        """
        import numpy as np

        out = np.empty((len(ids), self.dim), dtype=np.float32)
        for rows in _similar_lengths([len(item) for item in ids]):
            padded, mask = _pad([ids[row] for row in rows])
            feed = {"input_ids": padded, "mask": mask}
            out[rows] = self._session.run(["embedding"], feed)[0]
        return out


def load_minilm(
    weights: Path,
    cache_dir: Path,
    *,
    name: str = "all-minilm-l6-v2",
    threads: int = 2,
    max_tokens: int = MAX_TOKENS,
) -> MiniLM:
    """Open the encoder whose `model.safetensors` is `weights`; config and tokenizer lie beside it.

    The ONNX graph is built once into `cache_dir`/encoders and found there afterwards. `threads`
    is the number of cores that one call may use.

    Raises:
        WeightsError: a file is missing or is not a BERT encoder.
    """
    key = _digest(weights, max_tokens)
    graph = cache_dir / "encoders" / f"{name}-{key[:16]}-pieces.onnx"
    if not graph.is_file():
        _build(weights, graph)
    tokenizer = _tokenizer(weights.with_name("tokenizer.json"), max_tokens)
    return MiniLM(name, f"sha256:{key}", _session(graph, threads), tokenizer)


def _digest(weights: Path, max_tokens: int) -> str:
    """Hash everything that decides a vector, up to the rounding of the runtime."""
    digest = hashlib.sha256(f"{RECIPE};max_tokens={max_tokens}".encode())
    for path in (weights, weights.with_name("tokenizer.json"), weights.with_name("config.json")):
        try:
            with path.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
        except OSError as error:
            raise _missing(path) from error
    return digest.hexdigest()


def _build(weights: Path, graph: Path) -> None:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        raw = weights.with_name("config.json").read_bytes()
        write_graph(load_file(weights), msgspec.json.decode(raw, type=BertShape), graph)
    except (SafetensorError, KeyError, msgspec.DecodeError, msgspec.ValidationError) as error:
        raise WeightsError(
            f"{str(weights)!r} is not a BERT encoder that Stepdown can read: {error}.",
            "Use the files of all-minilm-l6-v2 (stepdown models pull all-minilm-l6-v2).",
        ) from error


def _tokenizer(path: Path, max_tokens: int) -> Any:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    return tokenizer


def _without_limit(tokenizer: Any) -> Any:
    """Return a copy of a tokenizer that cuts nothing."""
    copy = type(tokenizer).from_str(tokenizer.to_str())
    copy.no_truncation()
    return copy


def _session(graph: Path, threads: int) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])


def _similar_lengths(lengths: Sequence[int]) -> "Iterator[list[int]]":
    """Yield row numbers in batches of similar length, so that little padding is computed."""
    order = sorted(range(len(lengths)), key=lambda row: lengths[row])
    for start in range(0, len(order), _BATCH):
        yield order[start : start + _BATCH]


def _pad(rows: Sequence[Sequence[int]]) -> "tuple[NDArray[Any], NDArray[Any]]":
    import numpy as np

    width = max(len(row) for row in rows)
    ids = np.zeros((len(rows), width), dtype=np.int32)
    mask = np.zeros_like(ids)
    for at, row in enumerate(rows):
        ids[at, : len(row)] = row
        mask[at, : len(row)] = 1
    return ids, mask


def _missing(path: Path) -> WeightsError:
    return WeightsError(
        f"The encoder needs {path.name!r}, which is not at {str(path.parent)!r}.",
        "Fetch it with 'stepdown models pull all-minilm-l6-v2'.",
    )
