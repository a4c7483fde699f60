"""ONNX files of strangers: built by `onnx` itself, refused before an engine sees them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from vljepa_runtime.bundle import Bundle
from vljepa_runtime.engines import open_engine
from vljepa_runtime.errors import BundleError
from vljepa_runtime.graphs.checking import checked_graph

onnx = pytest.importorskip("onnx")
helper, numpy_helper, TensorProto = onnx.helper, onnx.numpy_helper, onnx.TensorProto

SMALL = Path(__file__).parents[1] / "bundles" / "small.vljepa"
INPUTS = (("patches", TensorProto.UINT8, ["B", "N", 216]), ("positions", TensorProto.INT32, ["B", "N", 3]))
Values = dict[str, Any]


def model(nodes: list[Any], constants: Values | None = None, **how: Any) -> Any:
    """A graph with the small X-encoder's contract, whose nodes make the scalar `c` that fills the output."""
    tail = [
        helper.make_node("Shape", ["patches"], ["s"]),
        helper.make_node("Slice", ["s", "zero", "two"], ["bn"]),
        helper.make_node("Concat", ["bn", "width"], ["to"], axis=0),
        helper.make_node("Expand", ["c", "to"], ["visual"]),
    ]
    given = {"zero": [0], "two": [2], "width": [8]}
    graph = helper.make_graph(
        [*nodes, *tail],
        "g",
        [helper.make_tensor_value_info(*item) for item in INPUTS],
        [helper.make_tensor_value_info("visual", TensorProto.FLOAT, ["B", "N", 8])],
        [
            *(numpy_helper.from_array(np.array(value, np.int64), name) for name, value in given.items()),
            *(numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, **how)


def plain() -> Any:
    return model([helper.make_node("ReduceMean", ["w"], ["c"], keepdims=0)], {"w": np.ones(8, np.float32)})


def located(tensor: Any, place: str = "secret.bin", **more: str) -> Any:
    """The tensor moved to a file."""
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": place, **more}.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def outside(place: str, **more: str) -> Callable[[], Any]:
    def build() -> Any:
        made = plain()
        located(made.graph.initializer[-1], place, **more)
        return made

    return build


def tensor(values: Any = (1.0,), name: str = "t") -> Any:
    return numpy_helper.from_array(np.array(values, np.float32), name)


def in_attribute() -> Any:
    return model([helper.make_node("Constant", [], ["c"], value=located(tensor([1.0])))])


def in_a_list() -> Any:
    node = helper.make_node("Constant", [], ["c"], value=tensor())
    node.attribute[0].tensors.append(located(tensor()))
    return model([node])


def sparse(part: str) -> Callable[[], Any]:
    def build() -> Any:
        made = plain()
        values, indices = tensor([1.0], "v"), numpy_helper.from_array(np.array([0], np.int64), "i")
        located(values if part == "values" else indices)
        made.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [1 << 30]))
        return made

    return build


def sparse_attribute() -> Any:
    node = helper.make_node("Constant", [], ["c"])
    values, indices = located(tensor([1.0])), numpy_helper.from_array(np.array([0], np.int64), "i")
    node.attribute.append(
        helper.make_attribute("sparse_value", helper.make_sparse_tensor(values, indices, [4]))
    )
    return model([node])


def body(**attributes: Any) -> Any:
    constant = helper.make_node("Constant", [], ["inner"], value=located(tensor([1.0])))
    out = [helper.make_tensor_value_info("inner", TensorProto.FLOAT, [1])]
    return helper.make_graph([constant], "body", [], out)


def branch() -> Any:
    return model(
        [helper.make_node("If", ["yes"], ["c"], then_branch=body(), else_branch=body())],
        {"yes": np.array(True)},
    )


def scan() -> Any:
    node = helper.make_node("Identity", ["w"], ["c"])
    node.attribute.append(helper.make_attribute("graphs", [body()]))
    return model([node], {"w": np.float32(1)})


def function() -> Any:
    made = model([helper.make_node("Mine", ["w"], ["c"], domain="mine")], {"w": np.float32(1)})
    inner = helper.make_node("Constant", [], ["y"], value=located(tensor([1.0])))
    opset = [helper.make_opsetid("", 17)]
    made.functions.append(helper.make_function("mine", "Mine", ["x"], ["y"], [inner], opset))
    made.opset_import.append(helper.make_opsetid("mine", 1))
    return made


def training() -> Any:
    made = plain()
    made.training_info.add().initialization.CopyFrom(body())
    return made


def context() -> Any:
    """ONNX Runtime would read a compiled graph from the file that the node names."""
    made = model(
        [
            helper.make_node(
                "EPContext", ["w"], ["c"], domain="com.microsoft", embed_mode=0, ep_cache_context="/etc/x"
            )
        ],
        {"w": np.float32(1)},
    )
    made.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return made


@pytest.mark.parametrize(
    ("build", "message"),
    [
        pytest.param(
            outside("secret.bin"), "lies in 'secret.bin', which this graph does not list", id="unlisted"
        ),
        pytest.param(outside("/etc/passwd"), "does not list", id="absolute"),
        pytest.param(outside("../b/x.data"), "does not list", id="climbs"),
        pytest.param(outside("./x.data"), "does not list", id="another-spelling"),
        pytest.param(outside("x.data\0"), "does not list", id="nul"),
        pytest.param(outside("*/_ORT_MEM_ADDR_/*", offset="4096"), "does not list", id="memory-address"),
        pytest.param(outside(""), "does not list", id="empty"),
        pytest.param(outside("x.data", offset="8"), "at 8 to 40 of x.data, which has 32", id="past-the-end"),
        pytest.param(outside("x.data", length="4"), "at 0 to 4 of x.data", id="too-short"),
        pytest.param(outside("x.data", offset="-1"), "whole number of bytes", id="negative"),
        pytest.param(outside("x.data", offset="9" * 30), "whole number of bytes", id="huge"),
        pytest.param(
            outside("x.data", basepath="/etc"), "refers to a file with basepath, location", id="other-key"
        ),
        pytest.param(in_attribute, "does not list", id="attribute"),
        pytest.param(in_a_list, "has a field 10", id="list"),
        pytest.param(sparse("values"), "the graph has a field 15", id="sparse-values"),
        pytest.param(sparse("indices"), "the graph has a field 15", id="sparse-indices"),
        pytest.param(sparse_attribute, "has a field 22", id="sparse-attribute"),
        pytest.param(branch, "holds a graph of its own", id="branch"),
        pytest.param(scan, "holds a graph of its own", id="list-of-graphs"),
        pytest.param(function, "the model has a field 25", id="function"),
        pytest.param(training, "the model has a field 20", id="training"),
        pytest.param(context, "operator com.microsoft.EPContext", id="compiled-elsewhere"),
    ],
)
def test_nothing_but_listed_files(
    build: Callable[[], Any], message: str, hostile_bundles: ModuleType, tmp_path: Path
) -> None:
    refused(
        build().SerializeToString(), message, hostile_bundles, tmp_path, data=np.ones(8, np.float32).tobytes()
    )


def refused(
    content: bytes, message: str, hostile_bundles: ModuleType, folder: Path, data: bytes | None = None
) -> None:
    with pytest.raises(BundleError, match=message) as caught:
        checked_graph(bundle(content, hostile_bundles, folder / "b.vljepa", data), "x_encoder")
    assert str(caught.value).startswith("small/x_encoder: ")
    assert len(str(caught.value)) < 1000


def bundle(
    content: bytes, hostile_bundles: ModuleType, to: Path, data: bytes | None = None, **how: Any
) -> Bundle:
    """The small bundle with another X-encoder, and weights that it lists."""

    def change(manifest: Values) -> None:
        manifest["graphs"]["x_encoder"]["external"] = ["x.data"] if data is not None else []

    files = {"x_encoder.onnx": content} | ({} if data is None else {"x.data": data})
    return Bundle.open(hostile_bundles.write_hostile(to, files, change=change, source=SMALL, **how))


@pytest.mark.parametrize("archive", [True, False], ids=["zip", "folder"])
@pytest.mark.parametrize("mapped", [True, False], ids=["mapped", "read"])
def test_a_listed_file_is_read(
    archive: bool, mapped: bool, hostile_bundles: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vljepa_runtime.bundle.reader.MAPPED_BYTES", 1 if mapped else 1 << 40)
    content = outside("x.data", offset="0", length="32")().SerializeToString()
    data = np.arange(8, dtype=np.float32).tobytes()
    made = bundle(content, hostile_bundles, tmp_path / "b.vljepa", data, archive=archive)
    feeds = {"patches": np.zeros((1, 2, 216), np.uint8), "positions": np.zeros((1, 2, 3), np.int32)}
    found = open_engine("onnxruntime:cpu").load(made, "x_encoder").run(feeds)["visual"]
    assert (found == 3.5).all()


def tagged(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(value: int) -> bytes:
    return bytes([value & 0x7F | 0x80]) + varint(value >> 7) if value >= 0x80 else bytes([value])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(lambda: b"", "holds no graph", id="empty"),
        pytest.param(lambda: b"\x08\x08", "holds no graph", id="no-graph"),
        pytest.param(lambda: plain().SerializeToString()[:-3], "longer than what holds it", id="cut"),
        pytest.param(lambda: b"\xff" * 40, "does not end", id="endless-number"),
        pytest.param(lambda: b"\x3b", "wire type 3", id="group"),
        pytest.param(lambda: b"\x08\x08\0\0ORTM" + b"\0" * 40, "ONNX Runtime's own format", id="ort-format"),
        pytest.param(
            # protobuf merges a field that comes twice: an engine sees what a reader of the first does not
            lambda: plain().SerializeToString() + tagged(7, branch().graph.SerializeToString()),
            "the model has field 7 twice",
            id="merged-graph",
        ),
        pytest.param(
            lambda: plain().SerializeToString() + tagged(26, b"\x08\x01"), "has a field 26", id="newer-field"
        ),
        pytest.param(lambda: twice("op_type"), "a node has field 4 twice", id="operator-twice"),
        pytest.param(lambda: twice("domain"), "a node has field 7 twice", id="domain-twice"),
    ],
)
def test_a_file_that_readers_may_see_differently(
    content: Callable[[], bytes], message: str, hostile_bundles: ModuleType, tmp_path: Path
) -> None:
    refused(content(), message, hostile_bundles, tmp_path)


def twice(field: str) -> bytes:
    """A model whose first node says one of its fields again."""
    node = plain().graph.node[0]
    number, again = {"op_type": (4, b"Loop"), "domain": (7, b"mine")}[field]
    if field == "domain":
        node.domain = "ai.onnx"
    doubled = node.SerializeToString() + tagged(number, again)
    return tagged(7, tagged(1, doubled))


def test_a_constant_says_no_more_than_it_holds(hostile_bundles: ModuleType, tmp_path: Path) -> None:
    made = plain()
    made.graph.initializer[-1].dims[0] = 1 << 40
    refused(made.SerializeToString(), "holds fewer or more bytes than its shape", hostile_bundles, tmp_path)
    made.graph.initializer[-1].ClearField("raw_data")
    made.graph.initializer[-1].float_data.append(1.0)
    refused(made.SerializeToString(), "holds fewer or more bytes than its shape", hostile_bundles, tmp_path)


@pytest.mark.parametrize("value", [np.float32("nan"), np.float16("nan"), np.float64("nan")], ids=str)
def test_a_constant_is_a_number(value: Any, hostile_bundles: ModuleType, tmp_path: Path) -> None:
    cast = [helper.make_node("Cast", ["w"], ["c"], to=1)]
    refused(model(cast, {"w": value}).SerializeToString(), "not numbers", hostile_bundles, tmp_path)
    masked = model(cast, {"w": np.array(-np.inf, value.dtype)}).SerializeToString()
    assert checked_graph(bundle(masked, hostile_bundles, tmp_path / "mask"), "x_encoder")


def bomb(*nodes: tuple[Any, ...], **constants: Any) -> Any:
    drawn = [helper.make_node(kind, list(ins), [out], **how) for kind, ins, out, how in nodes]
    return model([*drawn, helper.make_node("ReduceMean", ["big"], ["c"], keepdims=0)], constants)


def doubled() -> Any:
    steps = [("Concat", (f"x{i}", f"x{i}"), f"x{i + 1}", {"axis": 0}) for i in range(30)]
    return bomb(*steps, ("Identity", ("x30",), "big", {}), x0=np.ones(8, np.float32))


def products(times: int) -> Any:
    side = np.ones((1, 4000), np.float32)
    steps = [("MatMul", ("wide", "wide"), f"y{i}", {}) for i in range(times)]
    return bomb(
        ("MatMul", ("column", "row"), "wide", {}), *steps, ("Identity", (f"y{times - 1}",), "big", {}),
        column=side.T, row=side,
    )  # fmt: skip


LINE = np.ones((1, 60_000), np.float32)


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(
            lambda: bomb(("Expand", ("x", "n"), "big", {}), x=np.float32(1), n=np.array([6 << 28])),
            id="expand",
        ),
        pytest.param(
            lambda: bomb(("ConstantOfShape", ("n",), "big", {}), n=np.array([6 << 28])), id="filled"
        ),
        pytest.param(
            lambda: bomb(("Tile", ("x", "n"), "big", {}), x=np.ones(9, np.float32), n=np.array([1 << 28])),
            id="tile",
        ),
        pytest.param(
            lambda: bomb(
                ("Range", ("a", "b", "one"), "r", {}),
                ("Cast", ("r",), "big", {"to": 1}),
                a=np.int64(0),
                b=np.int64(1 << 33),
                one=np.int64(1),
            ),
            id="range",
        ),
        pytest.param(
            lambda: bomb(("Pad", ("x", "n"), "big", {}), x=np.ones(9, np.float32), n=np.array([0, 1 << 31])),
            id="pad",
        ),
        pytest.param(lambda: bomb(("Add", ("a", "b"), "big", {}), a=LINE, b=LINE.T), id="broadcast"),
        pytest.param(lambda: bomb(("MatMul", ("b", "a"), "big", {}), a=LINE, b=LINE.T), id="outer-product"),
        pytest.param(
            lambda: bomb(("Gather", ("a", "i"), "big", {"axis": 0}), a=LINE, i=np.zeros(40_000, np.int64)),
            id="gather",
        ),
        pytest.param(doubled, id="doubling"),
        pytest.param(lambda: products(40), id="hours-of-work"),
        pytest.param(
            lambda: bomb(
                ("Cast", ("patches",), "p", {"to": 1}),
                ("ReduceMean", ("p",), "m", {"keepdims": 0}),
                ("Expand", ("m", "n"), "big", {}),
                n=np.array([1 << 15, 1 << 15]),
            ),
            id="from-an-input",
        ),
        pytest.param(
            lambda: bomb(
                ("Shape", ("patches",), "s0", {}),
                ("Mul", ("s0", "s0"), "s1", {}),
                ("Mul", ("s1", "s1"), "n", {}),
                ("Expand", ("x", "n"), "big", {}),
                x=np.float32(1),
            ),
            id="from-a-size",
        ),
    ],
)
def test_a_graph_may_not_grow_beyond_what_its_bytes_pay_for(
    build: Callable[[], Any], hostile_bundles: ModuleType, tmp_path: Path
) -> None:
    refused(
        build().SerializeToString(), r"expected at most 1\.68e\+07|has the shape", hostile_bundles, tmp_path
    )


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        pytest.param([("Loop", ("x",), "c", {})], "uses the operator Loop", id="loop"),
        pytest.param([("SequenceEmpty", (), "c", {})], "uses the operator SequenceEmpty", id="sequence"),
        pytest.param(
            [("RandomNormal", (), "c", {"shape": [2]})], "uses the operator RandomNormal", id="random"
        ),
        pytest.param([("NonZero", ("x",), "c", {})], "uses the operator NonZero", id="size-by-value"),
        pytest.param([("Expand", ("x", "later"), "c", {})], "before anything computes it", id="order"),
        pytest.param([("Identity", ("x",), "x", {})], "computes 'x' twice", id="twice"),
        pytest.param(
            [("Cast", ("positions",), "p", {"to": 7}), ("Reshape", ("p", "p"), "c", {})],
            "do not follow .a size depends on values",
            id="size-from-values",
        ),
    ],
)
def test_operators_that_are_never_exported(
    nodes: list[Any], message: str, hostile_bundles: ModuleType, tmp_path: Path
) -> None:
    drawn = [helper.make_node(kind, list(ins), [out], **how) for kind, ins, out, how in nodes]
    made = model(drawn, {"x": np.float32(1)})
    refused(made.SerializeToString(), message, hostile_bundles, tmp_path)


def test_small_constants_may_grow_a_little(hostile_bundles: ModuleType, tmp_path: Path) -> None:
    made = bomb(("Expand", ("x", "n"), "big", {}), x=np.float32(1), n=np.array([1 << 20]))
    assert checked_graph(bundle(made.SerializeToString(), hostile_bundles, tmp_path / "b"), "x_encoder")


def test_a_constant_written_as_whole_numbers(hostile_bundles: ModuleType, tmp_path: Path) -> None:
    """Half floats may lie in `int32_data`; a number that is too large for one is cut, as engines cut it."""
    made = model([helper.make_node("Cast", ["w"], ["c"], to=1)], {"w": np.array([1.0], np.float16)})
    made.graph.initializer[-1].ClearField("raw_data")
    made.graph.initializer[-1].int32_data.append(0x3C00 + (1 << 20))
    assert checked_graph(bundle(made.SerializeToString(), hostile_bundles, tmp_path / "b"), "x_encoder")
    made.graph.initializer[-1].data_type = TensorProto.FLOAT
    made.graph.initializer[-1].ClearField("int32_data")
    made.graph.initializer[-1].raw_data = b"\0\0\0"
    refused(made.SerializeToString(), "holds fewer or more bytes", hostile_bundles, tmp_path)
    broken = tagged(1, b"") + made.SerializeToString().replace(
        b"\x4a\x03\0\0\0", b"\x22\x03\0\0\0"
    )  # float_data
    refused(broken[2:], "ends within a number", hostile_bundles, tmp_path)
