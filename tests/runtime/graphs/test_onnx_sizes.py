"""Graphs whose sizes an engine sees otherwise than a careless reader would, or that change with the sizes of a run."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from vljepa_runtime.bundle import Bundle
from vljepa_runtime.engines import open_engine
from vljepa_runtime.errors import BundleError, RunError
from vljepa_runtime.graphs.checking import checked_graph

onnx = pytest.importorskip("onnx")
helper, numpy_helper, TensorProto = onnx.helper, onnx.numpy_helper, onnx.TensorProto

SMALL = Path(__file__).parents[1] / "bundles" / "small.vljepa"
INPUTS = (("patches", TensorProto.UINT8, ["B", "N", 216]), ("positions", TensorProto.INT32, ["B", "N", 3]))
HUGE = np.array([1 << 29])
Drawn = tuple[str, str, str, dict[str, Any]]


def x_encoder(*drawn: Drawn, opsets: Any = (("", 17), ("com.microsoft", 1)), **constants: Any) -> bytes:
    """Nodes as (kind, inputs, outputs, attributes); what they compute is `visual`, or a scalar `c` that fills it."""
    fill: tuple[Drawn, ...] = (
        ("Shape", "patches", "s", {}),
        ("Slice", "s zero two", "bn", {}),
        ("Concat", "bn width", "to", {"axis": 0}),
        ("Expand", "c to", "visual", {}),
    )
    made = any("visual" in outputs.split() for _, _, outputs, _ in drawn)
    nodes = [
        helper.make_node(
            kind, ["" if name == "-" else name for name in inputs.split()], outputs.split(), **how
        )
        for kind, inputs, outputs, how in (*drawn, *(() if made else fill))
    ]
    given = {"zero": np.array([0]), "two": np.array([2]), "width": np.array([8]), **constants}
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(*item) for item in INPUTS],
        [helper.make_tensor_value_info("visual", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in given.items()],
    )
    made = helper.make_model(
        graph, opset_imports=[helper.make_opsetid(*item) for item in opsets], ir_version=8
    )
    return bytes(made.SerializeToString())


def bundle(content: bytes, hostile_bundles: ModuleType, to: Path) -> Bundle:
    return Bundle.open(hostile_bundles.write_hostile(to / "b", {"x_encoder.onnx": content}, source=SMALL))


SUM = (("Cast", "big", "f", {"to": 1}), ("ReduceSum", "f zero", "c", {"keepdims": 0}))
BITS = {"N": 8, "K": 64, "bits": 4, "block_size": 32, "domain": "com.microsoft"}
PACKED = {"packed": np.zeros((8, 2, 16), np.uint8), "scales": np.ones(16, np.float32), "k": np.array([64])}
CUT = (("Cast", "patches", "p", {"to": 1}), ("Slice", "p zero k two", "x", {}))


def wide(**constants: Any) -> dict[str, Any]:
    return {**PACKED, **constants}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(  # Python's slice of these is empty, and nothing times a billion is nothing
            lambda: x_encoder(
                ("Slice", "five first last zero back", "one", {}),
                ("Tile", "one huge", "big", {}),
                *SUM,
                five=np.arange(5),
                first=np.array([-100]),
                last=np.array([-200]),
                back=np.array([-1]),
                huge=HUGE,
            ),
            "Tile takes it to",
            id="slice-backwards-from-before-the-start",
        ),
        pytest.param(
            lambda: x_encoder(
                ("Range", "first last one", "big", {}),
                *SUM,
                first=np.int64(2**63 - 1),
                last=np.int64(-(2**63) + 2**29),
                one=np.int64(1),
            ),
            "the sizes of Range .* do not follow",
            id="range-that-overflows",
        ),
        pytest.param(  # the mean has one column, the first output eight
            lambda: x_encoder(
                ("LayerNormalization", "w scale", "normed mean", {"axis": -1}),
                ("Shape", "mean", "sizes", {}),
                ("Gather", "sizes one", "columns", {}),
                ("Sub", "width columns", "seven", {}),
                ("Mul", "seven huge", "many", {}),
                ("Expand", "half many", "big", {}),
                *SUM,
                w=np.ones((2, 8), np.float32),
                scale=np.ones(8, np.float32),
                one=np.array([1]),
                half=np.float32(0.5),
                huge=HUGE,
            ),
            "it has other outputs",
            id="mean-of-a-layer-norm",
        ),
        pytest.param(  # the lowest of 64 bits has no positive twin
            lambda: x_encoder(
                ("Div", "lowest two", "half", {}),
                ("Expand", "x half", "big", {}),
                *SUM,
                lowest=np.array([-(2**63)]),
                x=np.float32(1),
            ),
            "numbers beyond",
            id="division-of-the-lowest",
        ),
        pytest.param(
            lambda: x_encoder(
                ("Mul", "a a", "square", {}),
                ("Expand", "x square", "big", {}),
                *SUM,
                a=np.array([65536], np.int32),
                x=np.float32(1),
            ),
            "its type does not hold",
            id="product-beyond-32-bits",
        ),
        pytest.param(
            lambda: x_encoder(
                ("Cast", "w", "i", {"to": 6}),
                ("ConstantOfShape", "i", "big", {}),
                *SUM,
                w=np.array([3e9], np.float32),
            ),
            "a size depends on values",
            id="size-from-a-fraction",
        ),
        pytest.param(
            lambda: x_encoder(("Cast", "positions", "t", {"to": 8}), ("Cast", "t", "c", {"to": 1})),
            "no number",
            id="text",
        ),
        pytest.param(
            lambda: x_encoder(
                ("Pad", "w pads", "big", {"mode": "reflect"}), *SUM, w=np.ones(3), pads=np.array([9, 9])
            ),
            "pads with other values",
            id="mirrored-padding",
        ),
        pytest.param(
            lambda: x_encoder(
                ("Trilu", "w far", "big", {}), *SUM, w=np.ones((4, 4)), far=np.int64(2**63 - 1)
            ),
            "too far off",
            id="diagonal",
        ),
        pytest.param(  # ends the process in ONNX Runtime before 1.24
            lambda: x_encoder(
                ("Sub", "positions positions", "none", {}), ("Div", "positions none", "big", {}), *SUM
            ),
            "it divides whole numbers",
            id="division-by-zero-in-a-run",
        ),
        pytest.param(
            lambda: x_encoder(
                ("Div", "a none", "big", {}), *SUM, a=np.ones(9000, np.int32), none=np.int32(0)
            ),
            "it divides whole numbers",
            id="division-by-zero-of-constants",
        ),
        *(
            pytest.param(
                lambda more=more, ins=ins, constants=constants: x_encoder(
                    *CUT, ("MatMulNBits", f"x {ins}", "visual", {**BITS, **more}), **wide(**constants)
                ),
                "the sizes of MatMulNBits",
                id=name,
            )
            for name, ins, more, constants in (
                ("few-weights", "packed scales", {}, {"packed": np.zeros(8, np.uint8)}),
                ("few-scales", "packed scales", {}, {"scales": np.ones(1, np.float32)}),
                ("few-zero-points", "packed scales z", {}, {"z": np.zeros(1, np.uint8)}),
                ("places-of-groups", "packed scales - g", {}, {"g": np.full(64, 10**6, np.int32)}),
                ("more-columns", "packed scales", {"K": 128}, {}),
                ("more-rows", "packed scales", {"N": 1 << 20}, {}),
                ("three-bits", "packed scales", {"bits": 3}, {}),
                ("no-blocks", "packed scales", {"block_size": 0}, {}),
            )
        ),
        *(
            pytest.param(
                lambda heads=heads: x_encoder(
                    ("Cast", "patches", "p", {"to": 1}),
                    (
                        "MultiHeadAttention",
                        "p p p",
                        "visual",
                        {"num_heads": heads, "domain": "com.microsoft"},
                    ),
                ),
                f"{heads} heads of 216",
                id=f"heads{heads}",
            )
            for heads in (0, -1, 5, 216, 1 << 40)
        ),
        pytest.param(  # OpenVINO counts down from there
            lambda: x_encoder(("Identity", "w", "c", {}), opsets=[("", 10**9)], w=np.float32(1)),
            "it is of version 1000000000",
            id="operators-of-the-future",
        ),
    ],
)
def test_a_graph_is_seen_as_engines_see_it(
    content: Any, message: str, hostile_bundles: ModuleType, tmp_path: Path
) -> None:
    with pytest.raises(BundleError, match=message):
        checked_graph(bundle(content(), hostile_bundles, tmp_path), "x_encoder")


@pytest.mark.parametrize("points", [(), (8,), (8, 1)], ids=str)
def test_packed_weights_of_their_sizes_are_taken(
    points: tuple[int, ...], hostile_bundles: ModuleType, tmp_path: Path
) -> None:
    given = {"z": np.zeros(points, np.uint8)} if points else {}
    ins = "x packed scales z" if points else "x packed scales"
    made = x_encoder(*CUT, ("MatMulNBits", ins, "visual", BITS), **wide(**given))
    feeds = {"patches": np.ones((1, 2, 216), np.uint8), "positions": np.ones((1, 2, 3), np.int32)}
    graph = open_engine("onnxruntime:cpu").load(bundle(made, hostile_bundles, tmp_path), "x_encoder")
    assert graph.run(feeds)["visual"].shape == (1, 2, 8)


def test_whole_numbers_are_divided_by_known_ones(hostile_bundles: ModuleType, tmp_path: Path) -> None:
    made = x_encoder(
        ("Div", "positions by", "big", {}),
        *SUM[:1],
        ("ReduceMean", "f", "c", {"keepdims": 0}),
        by=np.int32(2),
    )
    assert checked_graph(bundle(made, hostile_bundles, tmp_path), "x_encoder")


def bomb_at(rows: int) -> bytes:
    """A graph that takes a gigabyte at one batch size, and next to nothing at all others."""
    return x_encoder(
        ("Shape", "patches", "sizes", {}),
        ("Slice", "sizes zero one", "rows", {}),
        ("Equal", "rows at", "now", {}),
        ("Where", "now huge one", "many", {}),
        ("Expand", "half many", "big", {}),
        ("ReduceMean", "big", "c", {"keepdims": 0}),
        at=np.array([rows]),
        one=np.array([1]),
        huge=np.array([1 << 28]),
        half=np.float32(0.5),
    )


def test_the_sizes_of_a_run_are_looked_at(hostile_bundles: ModuleType, tmp_path: Path) -> None:
    """A graph was checked at some sizes; it is run at others."""
    graph = open_engine("onnxruntime:cpu").load(bundle(bomb_at(3), hostile_bundles, tmp_path), "x_encoder")
    feeds = {"patches": np.ones((3, 2, 216), np.uint8), "positions": np.ones((3, 2, 3), np.int32)}
    for _ in range(2):
        with pytest.raises(BundleError, match=r"small/x_encoder: Expand takes it to 2.68e\+08 values"):
            graph.run(feeds)
        assert graph.run({name: array[:2] for name, array in feeds.items()})["visual"].shape == (2, 2, 8)


@pytest.mark.parametrize(
    ("drawn", "shape"),
    [
        pytest.param(("Cast", "patches", "visual", {"to": 1}), r"\(1, 2, 216\)", id="wider"),
        pytest.param(("ReduceMean", "w", "visual", {"keepdims": 0}), r"\(\)", id="scalar"),
        pytest.param(("ConstantOfShape", "none", "visual", {}), r"\(1, 0, 8\)", id="empty"),
        pytest.param(("ConstantOfShape", "more", "visual", {}), r"\(1, 7, 8\)", id="other-tokens"),
    ],
)
def test_a_result_has_the_shape_of_the_contract(
    drawn: Drawn, shape: str, hostile_bundles: ModuleType, tmp_path: Path
) -> None:
    made = x_encoder(drawn, w=np.ones(3, np.float32), none=np.array([1, 0, 8]), more=np.array([1, 7, 8]))
    graph = open_engine("onnxruntime:cpu").load(bundle(made, hostile_bundles, tmp_path), "x_encoder")
    feeds = {"patches": np.ones((1, 2, 216), np.uint8), "positions": np.ones((1, 2, 3), np.int32)}
    with pytest.raises(RunError, match=rf"gave visual {shape} on onnxruntime:cpu, expected \(B, N, 8\)"):
        graph.run(feeds)


def test_an_attribute_holds_one_value(hostile_bundles: ModuleType, tmp_path: Path) -> None:
    """Which of two is meant is said by a third field, which readers may heed or not."""
    made = onnx.load_model_from_string(
        x_encoder(
            ("Flatten", "w", "f", {"axis": 0}),
            ("ReduceMean", "f", "c", {"keepdims": 0}),
            w=np.ones(8, np.float32),
        )
    )
    made.graph.node[0].attribute[0].ints.append(1)
    with pytest.raises(BundleError, match="an attribute of Flatten holds values of more than one type"):
        checked_graph(bundle(made.SerializeToString(), hostile_bundles, tmp_path), "x_encoder")
