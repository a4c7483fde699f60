"""Builds `bundles/small.vljepa`: tiny real graphs for every contract, with random weights.

`python tests/runtime/tiny_bundle.py` writes it again; the tests read the committed file and so need no onnx.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import tokenizers
from onnx import helper, numpy_helper
from tokenizers import models, pre_tokenizers

from vljepa_runtime.bundle import Bundle, GraphSpec, Manifest, Origin, write_bundle
from vljepa_runtime.contract import TensorSpec
from vljepa_runtime.preprocessing.preprocess import Preprocess

HERE = Path(__file__).parent / "bundles" / "small.vljepa"
PRE = Preprocess(frames=4, fps=4.0, size=12, patch=6, tubelet=2)
WIDTH = 8
WORDS = (
    *("what", "is", "happening", "?", "a", "red", "blue", "green", "ball", "box"),
    *("rolls", "falls", "left", "right", "one", "two", "three", "the", "there"),
)
VOCABULARY = ["[PAD]", "[BOS]", "[EOS]", "[UNK]", *WORDS]
PROMPTS = {
    "caption": "what is happening ?",
    "classify": "what is there ?",
    "retrieval": "what is happening ?",
}
TYPES = {"uint8": "UINT8", "int32": "INT32", "float32": "FLOAT"}


def weights(seed: int = 0) -> dict[str, np.ndarray]:
    """Every constant of the graphs; `eos_pull` makes the decoder stop sooner or later."""
    draw = np.random.RandomState(seed)
    shapes = {
        "patch": (PRE.patch_dim, WIDTH),
        "position": (3, WIDTH),
        "look": (WIDTH, WIDTH),
        "query_table": (len(VOCABULARY), WIDTH),
        "text_table": (len(VOCABULARY), WIDTH),
        "key": (WIDTH, WIDTH),
        "value": (WIDTH, WIDTH),
        "token_table": (len(VOCABULARY), WIDTH // 2),
        "out": (WIDTH // 2, len(VOCABULARY)),
        "first": (WIDTH, len(VOCABULARY)),
    }
    values = {name: draw.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    values["eos_pull"] = np.zeros(len(VOCABULARY), np.float32)
    values["eos_pull"][VOCABULARY.index("[EOS]")] = 0.6
    return values


class Drawing:
    """A graph drawn node by node; constants are added when named."""

    def __init__(self, constants: dict[str, np.ndarray]) -> None:
        self.constants = constants
        self.nodes: list[Any] = []
        self.used: dict[str, np.ndarray] = {}

    def __call__(self, op: str, *inputs: str | np.ndarray, out: str | None = None, **attributes: Any) -> str:
        names = [self._name(item) for item in inputs]
        result = out or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, names, [result], **attributes))
        return result

    def _name(self, item: str | np.ndarray) -> str:
        if isinstance(item, np.ndarray):
            name = f"c{len(self.used)}"
            self.used[name] = item
            return name
        if item in self.constants:
            self.used[item] = self.constants[item]
        return item

    def mean_text(self, table: str, ids: str, mask: str) -> str:
        """(B, L) ids and mask -> (B, width): the mean of the masked rows of a table."""
        rows = self("Gather", table, ids)
        weight = self("Unsqueeze", self("Cast", mask, to=onnx.TensorProto.FLOAT), np.array([2]))
        total = self("ReduceSum", self("Mul", rows, weight), np.array([1]), keepdims=0)
        return self("Div", total, self("ReduceSum", weight, np.array([1]), keepdims=0))

    def unit(self, rows: str) -> str:
        return self("Div", rows, self("ReduceL2", rows, axes=[-1], keepdims=1), out="embedding")

    def file(self, spec: GraphSpec) -> bytes:
        def value(tensor: TensorSpec) -> Any:
            kind = getattr(onnx.TensorProto, TYPES[tensor.dtype])
            return helper.make_tensor_value_info(tensor.name, kind, tensor.shape)

        graph = helper.make_graph(
            self.nodes,
            "small",
            [value(tensor) for tensor in spec.inputs],
            [value(tensor) for tensor in spec.outputs],
            [numpy_helper.from_array(array, name) for name, array in self.used.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        model.producer_name = "tests"
        onnx.checker.check_model(model)
        return model.SerializeToString(deterministic=True)


def tensor(name: str, dtype: str, *shape: int | str) -> TensorSpec:
    return TensorSpec(name=name, dtype=dtype, shape=shape)


EMBEDDING = tensor("embedding", "float32", "B", WIDTH)
LOGITS = tensor("logits", "float32", "B", len(VOCABULARY))
SPECS = {
    "x_encoder": GraphSpec(
        file="x_encoder.onnx",
        inputs=(
            tensor("patches", "uint8", "B", "N", PRE.patch_dim),
            tensor("positions", "int32", "B", "N", 3),
        ),
        outputs=(tensor("visual", "float32", "B", "N", WIDTH),),
    ),
    "predictor": GraphSpec(
        file="predictor.onnx",
        inputs=(
            tensor("visual", "float32", "B", "N", WIDTH),
            tensor("query_ids", "int32", "B", "L"),
            tensor("query_mask", "int32", "B", "L"),
        ),
        outputs=(EMBEDDING,),
    ),
    "y_encoder": GraphSpec(
        file="y_encoder.onnx",
        inputs=(tensor("ids", "int32", "B", "L"), tensor("mask", "int32", "B", "L")),
        outputs=(EMBEDDING,),
    ),
    "y_decoder_prefill": GraphSpec(
        file="y_decoder_prefill.onnx",
        inputs=(EMBEDDING,),
        outputs=(
            LOGITS,
            tensor("past_k_0", "float32", "B", 1, "T", WIDTH // 2),
            tensor("past_v_0", "float32", "B", 1, "T", WIDTH // 2),
        ),
    ),
    "y_decoder_step": GraphSpec(
        file="y_decoder_step.onnx",
        inputs=(
            tensor("token", "int32", "B", 1),
            tensor("past_k_0", "float32", "B", 1, "T", WIDTH // 2),
            tensor("past_v_0", "float32", "B", 1, "T", WIDTH // 2),
        ),
        outputs=(
            LOGITS,
            tensor("next_k_0", "float32", "B", 1, "T1", WIDTH // 2),
            tensor("next_v_0", "float32", "B", 1, "T1", WIDTH // 2),
        ),
    ),
}


def draw_graphs(constants: dict[str, np.ndarray]) -> dict[str, bytes]:
    """The five graphs as ONNX files."""
    files = {}
    g = Drawing(constants)
    pixels = g("Mul", g("Cast", "patches", to=onnx.TensorProto.FLOAT), np.float32([1 / 255 / 4]))
    place = g("MatMul", g("Cast", "positions", to=onnx.TensorProto.FLOAT), "position")
    g("Tanh", g("Add", g("MatMul", pixels, "patch"), place), out="visual")
    files["x_encoder.onnx"] = g.file(SPECS["x_encoder"])

    g = Drawing(constants)
    seen = g("MatMul", g("ReduceMean", "visual", axes=[1], keepdims=0), "look")
    g.unit(g("Add", seen, g.mean_text("query_table", "query_ids", "query_mask")))
    files["predictor.onnx"] = g.file(SPECS["predictor"])

    g = Drawing(constants)
    g.unit(g.mean_text("text_table", "ids", "mask"))
    files["y_encoder.onnx"] = g.file(SPECS["y_encoder"])

    g = Drawing(constants)
    for kind, name in (("k", "key"), ("v", "value")):
        shape = np.array([0, 1, 2, WIDTH // 2])
        g("Reshape", g("MatMul", "embedding", name), shape, out=f"past_{kind}_0")
    g("MatMul", "embedding", "first", out="logits")
    files["y_decoder_prefill.onnx"] = g.file(SPECS["y_decoder_prefill"])

    g = Drawing(constants)
    row = g("Unsqueeze", g("Gather", "token_table", "token"), np.array([1]))
    k = g("Concat", "past_k_0", row, axis=2, out="next_k_0")
    v = g("Concat", "past_v_0", row, axis=2, out="next_v_0")
    attention = g("Softmax", g("MatMul", row, g("Transpose", k, perm=[0, 1, 3, 2])), axis=-1)
    mixed = g("Squeeze", g("MatMul", attention, v), np.array([1, 2]))
    length = g("Cast", g("Gather", g("Shape", k), np.array([2])), to=onnx.TensorProto.FLOAT)
    g("Add", g("MatMul", mixed, "out"), g("Mul", length, "eos_pull"), out="logits")
    files["y_decoder_step.onnx"] = g.file(SPECS["y_decoder_step"])
    return files


def tokenizer_json() -> bytes:
    inner = tokenizers.Tokenizer(
        models.WordLevel({word: index for index, word in enumerate(VOCABULARY)}, unk_token="[UNK]")
    )
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.add_special_tokens(VOCABULARY[:4])
    return inner.to_str().encode()


def manifest(**changes: Any) -> Manifest:
    values: dict[str, Any] = {
        "name": "small",
        "license": "Apache-2.0",
        "created": "2026-01-01T00:00:00Z",
        "source": Origin(importer="tests"),
        "precision": dict.fromkeys(SPECS, "fp32"),
        "graphs": SPECS,
        "preprocess": PRE,
        "tokenizers": dict.fromkeys(("predictor", "y_encoder", "y_decoder"), "tokenizer.json"),
        "embedding_dim": WIDTH,
        "prompts": PROMPTS,
    }
    return Manifest(**{**values, **changes})


def write(path: Path, *, archive: bool = True, force: bool = False) -> Bundle:
    files: dict[str, bytes | Path] = {**draw_graphs(weights()), "tokenizer.json": tokenizer_json()}
    return write_bundle(path, manifest(), files, archive=archive, force=force)


if __name__ == "__main__":
    print(write(HERE, force=True).location)
