"""Build the ONNX graph of a BERT sentence encoder straight from its safetensors: no torch.

Mean pooling over real tokens and L2 normalisation are inside the graph. ONNX Runtime's fused
operators (domain com.microsoft) are used directly, so no graph optimiser has to find them.
"""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

    Tensors = Mapping[str, NDArray[float32]]

FUSED = "com.microsoft"
RECIPE = "bert-fused-meanpool-l2/1"
"""Changes when the graph changes, and with it the digest of every encoder built from it."""


class BertShape(Struct, frozen=True):
    """The numbers of config.json that the graph depends on."""

    num_hidden_layers: int
    num_attention_heads: int
    layer_norm_eps: float
    hidden_act: str
    max_position_embeddings: int

    def __post_init__(self) -> None:
        """Refuse an activation that the graph does not compute."""
        if self.hidden_act != "gelu":
            raise ValueError(f"hidden_act must be 'gelu', got {self.hidden_act!r}")


class _Graph:
    """Collect nodes and initialisers; every method returns the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []

    def constant(self, name: str, values: Any) -> str:
        from onnx import numpy_helper

        self.initializers.append(numpy_helper.from_array(values, name))
        return name

    def node(
        self, kind: str, inputs: list[str], *outputs: str, domain: str = "", **how: Any
    ) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, outputs, outputs[0], domain=domain, **how))
        return outputs[0]


def write_graph(tensors: "Tensors", shape: BertShape, target: Path) -> None:
    """Write the ONNX file of the encoder to `target`, atomically.

    Inputs of the graph: `input_ids` and `mask`, int32 (batch, tokens). Outputs: `embedding`,
    float32 (batch, dim), rows of length 1; and `pieces`, (batch, tokens, dim), before pooling.
    """
    data = _model(tensors, shape).SerializeToString()
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(prefix=".graph-", dir=target.parent)
    with os.fdopen(handle, "wb") as stream:
        stream.write(data)
    Path(part).replace(target)


def _model(tensors: "Tensors", shape: BertShape) -> Any:
    from onnx import TensorProto, helper

    graph = _Graph()
    hidden = _layers(graph, tensors, shape)
    _pool(graph, hidden)
    graph.node("Identity", [hidden], "pieces")
    dim = tensors["embeddings.LayerNorm.weight"].shape[0]
    ints = [
        helper.make_tensor_value_info(name, TensorProto.INT32, ["batch", "tokens"])
        for name in ("input_ids", "mask")
    ]
    out = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", dim])
    shape_of_pieces = ["batch", "tokens", dim]
    pieces = helper.make_tensor_value_info("pieces", TensorProto.FLOAT, shape_of_pieces)
    body = helper.make_graph(graph.nodes, "encoder", ints, [out, pieces], graph.initializers)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(FUSED, 1)]
    return helper.make_model(body, opset_imports=opsets, ir_version=8, producer_name=RECIPE)


def _layers(graph: _Graph, tensors: "Tensors", shape: BertShape) -> str:
    hidden = _embeddings(graph, tensors, shape)
    for index in range(shape.num_hidden_layers):
        hidden = _attention(graph, tensors, shape, index, hidden)
        hidden = _feed_forward(graph, tensors, shape, index, hidden)
    return hidden


def _embeddings(graph: _Graph, tensors: "Tensors", shape: BertShape) -> str:
    """Sum word and position vectors; the one token type is folded into the positions."""
    positions = tensors["embeddings.position_embeddings.weight"]
    positions = positions + tensors["embeddings.token_type_embeddings.weight"][0]
    words = graph.constant("words", tensors["embeddings.word_embeddings.weight"])
    norm = _norm(graph, tensors, "embeddings.LayerNorm")
    inputs = ["input_ids", "", words, graph.constant("positions", positions), "", *norm]
    return graph.node(
        "EmbedLayerNormalization",
        inputs,
        "embedded",
        "unused.index",
        domain=FUSED,
        epsilon=shape.layer_norm_eps,
    )


def _attention(graph: _Graph, tensors: "Tensors", shape: BertShape, index: int, hidden: str) -> str:
    import numpy as np

    at = f"encoder.layer.{index}.attention"
    parts = [f"{at}.self.{part}" for part in ("query", "key", "value")]
    weight = np.concatenate([tensors[f"{part}.weight"].T for part in parts], axis=1)
    bias = np.concatenate([tensors[f"{part}.bias"] for part in parts])
    inputs = [hidden, graph.constant(f"qkv.{index}.w", weight)]
    inputs += [graph.constant(f"qkv.{index}.b", bias), "mask"]
    heads = shape.num_attention_heads
    mixed = graph.node("Attention", inputs, f"mixed.{index}", domain=FUSED, num_heads=heads)
    dense = _dense(graph, tensors, f"{at}.output.dense", mixed)
    return _add_norm(graph, tensors, f"{at}.output", dense, hidden, shape)


def _feed_forward(
    graph: _Graph, tensors: "Tensors", shape: BertShape, index: int, hidden: str
) -> str:
    at = f"encoder.layer.{index}"
    wide = _dense(graph, tensors, f"{at}.intermediate.dense", hidden)
    bias = graph.constant(f"{at}.gelu.b", tensors[f"{at}.intermediate.dense.bias"])
    active = graph.node("BiasGelu", [wide, bias], f"{at}.gelu", domain=FUSED)
    narrow = _dense(graph, tensors, f"{at}.output.dense", active)
    return _add_norm(graph, tensors, f"{at}.output", narrow, hidden, shape)


def _dense(graph: _Graph, tensors: "Tensors", at: str, hidden: str) -> str:
    """Multiply by a weight; its bias is added by the fused operator that follows."""
    import numpy as np

    weight = np.ascontiguousarray(tensors[f"{at}.weight"].T)
    return graph.node("MatMul", [hidden, graph.constant(f"{at}.w", weight)], at)


def _add_norm(
    graph: _Graph, tensors: "Tensors", at: str, branch: str, trunk: str, shape: BertShape
) -> str:
    bias = graph.constant(f"{at}.b", tensors[f"{at}.dense.bias"])
    inputs = [branch, trunk, *_norm(graph, tensors, f"{at}.LayerNorm"), bias]
    eps = shape.layer_norm_eps
    return graph.node("SkipLayerNormalization", inputs, f"{at}.sum", domain=FUSED, epsilon=eps)


def _norm(graph: _Graph, tensors: "Tensors", at: str) -> list[str]:
    return [graph.constant(f"{at}.{part}", tensors[f"{at}.{part}"]) for part in ("weight", "bias")]


def _pool(graph: _Graph, hidden: str) -> None:
    """Average the vectors of real tokens, then scale to length 1 (so the count cancels out)."""
    import numpy as np
    from onnx import TensorProto

    last = graph.constant("axis.last", np.array([2], dtype=np.int64))
    tokens = graph.constant("axis.tokens", np.array([1], dtype=np.int64))
    real = graph.node("Cast", ["mask"], "mask.float", to=TensorProto.FLOAT)
    real = graph.node("Unsqueeze", [real, last], "mask.wide")
    kept = graph.node("Mul", [hidden, real], "kept")
    total = graph.node("ReduceSum", [kept, tokens], "sum", keepdims=0)
    graph.node("LpNormalization", [total], "embedding", axis=-1, p=2)
