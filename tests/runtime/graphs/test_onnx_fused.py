"""Fused operators whose kernels would read beyond their inputs, and those that our exporter writes."""

from __future__ import annotations

import numpy as np
import pytest

from vljepa_runtime.graphs.onnx_file import Constant, Node, OnnxGraph
from vljepa_runtime.graphs.onnx_sizes import check_sizes
from vljepa_runtime.graphs.wire import Damaged

MICROSOFT = "com.microsoft"
BOOL, INT32 = 9, 6
SHAPES = {"x": (2, 6, 8), "wide": (2, 7, 8), "mask": (2, 6), "bias": (1, 1, 6, 6), "v": (8,), "lengths": (2,),
          "table": (6, 2), "short": (5, 2)}  # fmt: skip
COUNTED = (
    ("Cast", "mask", "seen", {"to": BOOL}, ""),
    ("Cast", "seen", "ones", {"to": INT32}, ""),
    ("ReduceSum", "ones one", "counted", {"keepdims": 0}, ""),
)
HEADS = {"num_heads": 2}


def check(*drawn) -> None:
    nodes = [
        Node(
            kind=kind,
            domain=domain,
            inputs=["" if name == "-" else name for name in inputs.split()],
            outputs=["" if name == "-" else name for name in outputs.split()],
            attributes=how,
        )
        for kind, inputs, outputs, how, domain in drawn
    ]
    read = {name for node in nodes for name in node.inputs}
    numbers = {
        "one": np.array([1]),
        "start": np.array([0]),
        "later": np.array([-4]),
        "many": np.array([9, 9]),
    }
    graph = OnnxGraph(
        nodes=nodes,
        constants={name: Constant(value.shape, value, True) for name, value in numbers.items()},
        inputs=[name for name in SHAPES if name in read],
        outputs=["y"],
    )
    check_sizes(graph, {name: SHAPES[name] for name in graph.inputs}, limit=1 << 20)


def attention(inputs: str, **how):
    return "MultiHeadAttention", inputs, "y", {**HEADS, **how}, MICROSOFT


def rotary(inputs: str, **how):
    return "RotaryEmbedding", inputs, "y", {**HEADS, **how}, MICROSOFT


@pytest.mark.parametrize(
    "drawn",
    [
        pytest.param((attention("x x x"),), id="attention"),
        pytest.param((*COUNTED, attention("x x x - counted")), id="attention-with-lengths"),
        pytest.param((attention("x x x - - bias"),), id="attention-with-a-bias"),
        pytest.param((rotary("x start table table", rotary_embedding_dim=4),), id="rotary"),
        pytest.param((("SimplifiedLayerNormalization", "x v", "y", {"axis": -1}, ""),), id="norm"),
        pytest.param((("SkipLayerNormalization", "x x v v v", "y - - sum", {}, MICROSOFT),), id="skip"),
        pytest.param(
            (
                ("SkipSimplifiedLayerNormalization", "x x v", "z - - sum", {}, MICROSOFT),
                ("SkipSimplifiedLayerNormalization", "z sum v v", "y", {}, MICROSOFT),
            ),
            id="two-outputs-left-out-twice",
        ),
        pytest.param((("BiasGelu", "x v", "y", {}, MICROSOFT),), id="gelu"),
        pytest.param((("QuickGelu", "x", "y", {"alpha": 1.0}, MICROSOFT),), id="silu"),
    ],
)
def test_what_is_exported_is_taken(drawn) -> None:
    check(*drawn)


@pytest.mark.parametrize(
    ("drawn", "message"),
    [
        pytest.param((attention("x x x - lengths"),), "not counted", id="lengths-from-anywhere"),
        pytest.param((attention("x x x - many"),), "not counted", id="constant-lengths"),
        pytest.param(
            (
                *COUNTED[:2],
                ("ReduceSum", "ones", "counted", {"keepdims": 0}, ""),
                attention("x x x - counted"),
            ),
            "not counted",
            id="lengths-over-all-rows",
        ),
        pytest.param(
            (("Cast", "mask", "ones", {"to": INT32}, ""), COUNTED[2], attention("x x x - counted")),
            "not counted",
            id="lengths-of-any-numbers",
        ),
        pytest.param((attention("x x x v"),), "queries, keys and values", id="a-bias-of-projections"),
        pytest.param((attention("x x x - - mask"),), "bias is not one", id="bias-of-another-shape"),
        pytest.param((attention("x wide x"),), "not of the rows", id="fewer-values-than-keys"),
        pytest.param((attention("x x x", num_heads=3),), "3 heads", id="heads-that-do-not-fit"),
        pytest.param((rotary("x later table table"),), "do not begin at 0", id="positions-before-the-table"),
        pytest.param((rotary("x lengths table table"),), "do not begin at 0", id="positions-from-anywhere"),
        pytest.param((rotary("x start short short"),), "a row for each", id="a-table-too-short"),
        pytest.param((rotary("x start table table", interleaved=1),), "another order", id="interleaved"),
        pytest.param((("SimplifiedLayerNormalization", "x table", "y", {}, ""),), "vectors", id="norm-scale"),
        pytest.param(
            (("SkipLayerNormalization", "x wide v", "y", {}, MICROSOFT),), "one shape", id="skip-shape"
        ),
        pytest.param(
            (("SkipLayerNormalization", "x x v lengths", "y", {}, MICROSOFT),), "8 values", id="shift"
        ),
        pytest.param((("BiasGelu", "x lengths", "y", {}, MICROSOFT),), "8 values", id="gelu-bias"),
        pytest.param((("GroupQueryAttention", "x x x", "y", HEADS, MICROSOFT),), "no exporter", id="another"),
    ],
)
def test_what_could_read_elsewhere_is_refused(drawn, message: str) -> None:
    with pytest.raises(Damaged, match=message):
        check(*drawn)
