"""Adapters as GGUF files that llama.cpp serves: alone, or added to their base.

It reads and writes with the `gguf` package alone; no torch. llama.cpp keeps the rows of query and
key weights of the architecture llama in another order than transformers (rotary pairs side by
side instead of half a head apart), so the second factors of their adapters are reordered.
Source: `LlamaModel.permute` in llama.cpp's convert_hf_to_gguf.py, convert_lora_to_gguf.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from stepdown.errors import WeightsError

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
PERMUTED = ("llama",)  # architectures whose query and key rows llama.cpp keeps in pairs
KNOWN = (*PERMUTED, "qwen2", "qwen3")
_FACTOR = re.compile(r"layers\.(\d+)\.([a-z_]+\.[a-z_]+)\.lora_([AB])\.")


class Deltas(Struct, frozen=True, eq=False):
    """Factors by the name of the tensor that they belong to: (rank, in) and (out, rank).

    What is added to a weight is `alpha` / rank x second @ first.
    """

    factors: Mapping[str, tuple[NDArray[float32], NDArray[float32]]]
    alpha: float

    def added(self, name: str) -> NDArray[float32] | None:
        """Return what is added to a tensor, shape (out, in); None where there is no adapter."""
        if name not in self.factors:
            return None
        first, second = self.factors[name]
        product: NDArray[float32] = (self.alpha / len(first)) * (second @ first)
        return product


def adapter_deltas(
    base: Path, arrays: Mapping[str, NDArray[float32]], *, alpha: float, heads: int, kv_heads: int
) -> Deltas:
    """Return the factors of PEFT's parameters under the names, and in the order, of the base.

    Raises:
        WeightsError: the base is of an architecture whose names are not known here.
    """
    arch = architecture(base)
    found: dict[str, dict[str, Any]] = {}
    for name, array in arrays.items():
        match = _FACTOR.search(name)
        if match is None:
            raise WeightsError(
                f"Unknown adapter parameter {name!r}.", "Use `modules` that are known."
            )
        layer, module, factor = match.groups()
        found.setdefault(f"blk.{layer}.{NAMES[module]}.weight", {})[factor] = array
    counts = {"attn_q": heads, "attn_k": kv_heads} if arch in PERMUTED else {}
    return Deltas({name: _pair(name, both, counts) for name, both in found.items()}, alpha)


def architecture(base: Path) -> str:
    """Return the architecture of a GGUF file.

    Raises:
        WeightsError: it is not one that adapters can be written for.
    """
    from gguf import GGUFReader

    field = GGUFReader(base).get_field("general.architecture")
    arch = str(field.contents()) if field else "unknown"
    if arch not in KNOWN:
        raise WeightsError(
            f"{base.name!r} is of the architecture {arch!r}.",
            f"Adapters can be written for: {', '.join(KNOWN)}.",
        )
    return arch


def write_adapter(base: Path, deltas: Deltas, target: Path) -> None:
    """Write the adapters alone, float32, for llama.cpp's `--lora`."""
    from gguf import GGUFWriter

    writer = GGUFWriter(target, architecture(base))
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(deltas.alpha))
    for name, (first, second) in deltas.factors.items():
        writer.add_tensor(f"{name}.lora_a", first)
        writer.add_tensor(f"{name}.lora_b", second)
    _finish(writer)


def write_merged(base: Path, deltas: Deltas, target: Path) -> None:
    """Write the base with the adapters added: matrices as Q8_0, vectors as float32."""
    from gguf import (
        GGMLQuantizationType,
        GGUFReader,
        GGUFWriter,
        LlamaFileType,
        dequantize,
        quantize,
    )

    reader = GGUFReader(base)
    writer = GGUFWriter(target, architecture(base))
    for name, value, kind, inner in _fields(reader):
        writer.add_key_value(name, value, kind, sub_type=inner)
    writer.add_file_type(LlamaFileType.MOSTLY_Q8_0)
    writer.add_quantization_version(2)
    for tensor in reader.tensors:
        whole = dequantize(tensor.data, tensor.tensor_type)
        added = deltas.added(tensor.name)
        whole = whole if added is None else whole + added
        if whole.ndim < 2:
            writer.add_tensor(tensor.name, whole)
        else:
            kind = GGMLQuantizationType.Q8_0
            writer.add_tensor(tensor.name, quantize(whole, kind), raw_dtype=kind)
    _finish(writer)


def _pair(
    name: str, both: Mapping[str, NDArray[float32]], counts: Mapping[str, int]
) -> tuple[NDArray[float32], NDArray[float32]]:
    heads = counts.get(name.split(".")[2])
    second = both["B"]
    return both["A"], second if heads is None else in_pairs(second, heads)


def in_pairs(rows: NDArray[float32], heads: int) -> NDArray[float32]:
    """Return rows of a query or key weight in llama.cpp's order, shape unchanged."""
    import numpy as np

    halves = rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(rows.shape))


def _fields(reader: Any) -> Iterator[tuple[str, Any, Any, Any]]:
    """Yield the metadata that a copy keeps, with their types."""
    from gguf import GGUFValueType

    written_anew = ("general.architecture", "general.file_type", "general.quantization_version")
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name in written_anew:
            continue
        inner = field.types[-1] if field.types[0] == GGUFValueType.ARRAY else None
        yield field.name, field.contents(), field.types[0], inner


def _finish(writer: Any) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
