"""OpenVINO IRs of strangers: written by OpenVINO, changed as text, refused before OpenVINO sees them again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from vljepa_runtime.bundle import Bundle
from vljepa_runtime.engines import open_engine
from vljepa_runtime.engines.openvino_library import import_untracked
from vljepa_runtime.errors import BundleError
from vljepa_runtime.graphs.checking import checked_graph

pytest.importorskip("openvino")

SMALL = Path(__file__).parents[1] / "bundles" / "small.vljepa"


@pytest.fixture(scope="module")
def ir(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, bytes]:
    """XML and weights of the small X-encoder."""
    library, folder = import_untracked("openvino"), tmp_path_factory.mktemp("ir")
    model = library.Core().read_model(Bundle.open(SMALL).read("x_encoder.onnx"), b"")
    library.save_model(model, folder / "x.xml", compress_to_fp16=False)
    return (folder / "x.xml").read_text(), (folder / "x.bin").read_bytes()


def bundle(
    xml: str, weights: bytes, hostile_bundles: ModuleType, to: Path, beside: str = "x.bin", **how: Any
) -> Bundle:
    def change(manifest: dict[str, Any]) -> None:
        manifest["target"] = "openvino"
        manifest["graphs"]["x_encoder"] |= {"file": "x.xml", "external": [beside]}

    files = {"x.xml": xml.encode(), beside: weights}
    return Bundle.open(hostile_bundles.write_hostile(to, files, change=change, source=SMALL, **how))


@pytest.mark.parametrize("archive", [True, False], ids=["zip", "folder"])
@pytest.mark.parametrize("mapped", [True, False], ids=["mapped", "read"])
def test_what_openvino_wrote_is_read(
    ir: tuple[str, bytes], archive: bool, mapped: bool, hostile_bundles: ModuleType, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("vljepa_runtime.bundle.reader.MAPPED_BYTES", 1 if mapped else 1 << 40)
    made = bundle(*ir, hostile_bundles, tmp_path / "b.vljepa", archive=archive)
    feeds = {"patches": np.full((1, 2, 216), 7, np.uint8), "positions": np.ones((1, 2, 3), np.int32)}
    expected = open_engine("onnxruntime:cpu").load(Bundle.open(SMALL), "x_encoder").run(feeds)["visual"]
    found = open_engine("openvino:cpu").load(made, "x_encoder").run(feeds)["visual"]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def entity(xml: str) -> str:
    return xml.replace("?>", '?><!DOCTYPE net [<!ENTITY x SYSTEM "file:///etc/passwd">]>', 1)


def laughs(xml: str) -> str:
    lines = "".join(f'<!ENTITY a{i + 1} "&a{i};&a{i};">' for i in range(40))
    return xml.replace("?>", f'?><!DOCTYPE net [<!ENTITY a0 "ha">{lines}]>', 1)


def past_the_end(xml: str) -> str:
    return xml.replace('offset="0"', 'offset="999999999"', 1)


def larger(xml: str) -> str:
    start = xml.index('shape="', xml.index('type="Const"'))
    return xml[:start] + 'shape="1000000, ' + xml[start + 7 :]


def loop(xml: str) -> str:
    inner = '<layer id="99" name="t" type="TensorIterator" version="opset1"><body><layers/></body></layer>'
    return xml.replace("</layers>", f"{inner}</layers>", 1)


def body(xml: str) -> str:
    return xml.replace("</layers>", '<layer id="99" type="Add" version="opset1"><body/></layer></layers>', 1)


def extension(xml: str) -> str:
    return xml.replace('version="opset1"', 'version="extension"', 1)


def other_reader(xml: str) -> str:
    start = xml.index("<data ", xml.index('type="Parameter"'))
    return xml[:start] + '<data offset="0" size="4" ' + xml[start + 6 :]


def text(xml: str) -> str:
    start = xml.index('element_type="', xml.index('type="Const"'))
    return xml[:start] + 'element_type="string" x="' + xml[start + 14 :]


def deep(xml: str) -> str:
    return xml.replace("</net>", "<rt_info>" + "<a>" * 5000 + "</a>" * 5000 + "</rt_info></net>", 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (entity, "has a DOCTYPE, which can name other files"),
        (laughs, "has a DOCTYPE"),
        (past_the_end, "bytes at 999999999 of"),
        (larger, r"a constant of shape \(1000000, "),
        (loop, "a layer opset1.TensorIterator, which no exporter of ours writes"),
        (body, "an element <body>"),
        (extension, "a layer extension"),
        (other_reader, "reads from the weights"),
        (text, "a constant is of type 'string'"),
        (deep, "nested 32 deep"),
        (lambda xml: xml[: len(xml) // 2], "not readable XML"),
        (lambda xml: "", "not readable XML"),
        (lambda xml: "<net/>", "holds no layers"),
        (lambda xml: "<html/>", "an element <html>"),
    ],
    ids=lambda item: getattr(item, "__name__", ""),
)
def test_an_ir_of_a_stranger(
    ir: tuple[str, bytes],
    change: Callable[[str], str],
    message: str,
    hostile_bundles: ModuleType,
    tmp_path: Path,
) -> None:
    made = bundle(change(ir[0]), ir[1], hostile_bundles, tmp_path / "b.vljepa")
    with pytest.raises(BundleError, match=message):
        checked_graph(made, "x_encoder")


def test_an_ir_has_the_weights_of_its_own_name(
    ir: tuple[str, bytes], hostile_bundles: ModuleType, tmp_path: Path
) -> None:
    made = bundle(*ir, hostile_bundles, tmp_path / "b.vljepa", beside="other.bin")
    with pytest.raises(BundleError, match=r"expected x.bin beside it, the bundle lists other.bin"):
        checked_graph(made, "x_encoder")


def saved(visual: Any, patches: Any, folder: Path) -> tuple[str, bytes]:
    """XML and weights of a model that gives this."""
    library, ops = (import_untracked(name) for name in ("openvino", "openvino.opset8"))
    positions = ops.parameter([-1, -1, 3], np.int32, name="positions")
    model = library.Model([visual], [patches, positions], "g")
    for port, name in zip((*model.inputs, *model.outputs), ("patches", "positions", "visual")):
        port.get_tensor().set_names({name})
    library.save_model(model, folder / "x.xml", compress_to_fp16=False)
    return (folder / "x.xml").read_text(), (folder / "x.bin").read_bytes()


def grown(kind: str, ops: Any, patches: Any) -> Any:
    """A vector or number that takes gigabytes on its way."""
    many, zero = ops.constant(np.int64([6 << 28])), ops.constant(np.int64([0]))
    if kind == "broadcast":
        return ops.reduce_mean(ops.broadcast(ops.constant(np.float32([0.5])), many), zero, keep_dims=False)
    if kind == "outer-product":
        side = np.ones((60_000, 1), np.float32)
        both = ops.constant(np.int64([0, 1]))
        return ops.reduce_mean(ops.multiply(ops.constant(side), ops.constant(side.T)), both, keep_dims=False)
    if kind == "range":
        ends = [ops.constant(np.float32(value)) for value in (0, 6 << 28, 1)]
        return ops.reduce_mean(ops.range(*ends, "f32"), zero, keep_dims=False)
    if kind == "tile":
        return ops.reduce_mean(ops.tile(ops.constant(np.float32([0.5])), many), zero, keep_dims=False)
    mean = ops.reduce_mean(ops.convert(patches, "f32"), ops.constant(np.int64([0, 1, 2])), keep_dims=True)
    wide = ops.broadcast(mean, ops.constant(np.int64([1 << 10, 1 << 10, 1 << 10])))
    return ops.reduce_mean(wide, ops.constant(np.int64([0, 1, 2])), keep_dims=False)


def roundabout(kind: str, ops: Any, width: Any) -> Any:
    """Eight, by way of many numbers: OpenVINO works out what sizes come from while it reads a file, slowly."""
    many, zero = ops.constant(np.int64([100_000])), ops.constant(np.int64([0]))
    if kind == "broadcast":
        wide = ops.broadcast(width, many)
    elif kind == "tile":
        wide = ops.tile(width, many)
    elif kind == "range":
        ends = (zero, ops.multiply(width, ops.constant(np.int64([1000]))), ops.constant(np.int64([1])))
        wide = ops.range(*(ops.squeeze(end, zero) for end in ends), "i64")
    elif kind == "doubled":
        wide = width
        for _ in range(18):
            wide = ops.concat([wide, wide], 0)
    else:
        row = ops.multiply(width, ops.constant(np.ones((1, 300), np.int64)))
        square = ops.multiply(row, ops.transpose(row, ops.constant(np.int64([1, 0]))))
        wide = ops.reshape(square, ops.constant(np.int64([-1])), special_zero=False)
    return ops.minimum(ops.reduce_max(wide, zero, keep_dims=True), ops.constant(np.int64([8])))


@pytest.mark.parametrize("kind", ["broadcast", "tile", "range", "doubled", "outer-product"])
def test_a_size_comes_from_few_numbers(kind: str, hostile_bundles: ModuleType, tmp_path: Path) -> None:
    ops = import_untracked("openvino.opset8")
    patches = ops.parameter([-1, -1, 216], np.uint8, name="patches")
    sizes, zero = ops.shape_of(patches), ops.constant(np.int64(0))
    rows = ops.gather(sizes, ops.constant(np.int64([0, 1])), zero)
    eight = roundabout(kind, ops, ops.gather(sizes, ops.constant(np.int64([2])), zero))
    visual = ops.broadcast(ops.constant(np.float32([0.5])), ops.concat([rows, eight], 0))
    xml, weights = saved(visual, patches, tmp_path)
    made = bundle(xml, weights, hostile_bundles, tmp_path / "b.vljepa")
    with pytest.raises(BundleError, match="takes a size from what may be more than 65536 numbers"):
        checked_graph(made, "x_encoder")


@pytest.mark.parametrize("archive", [True, False], ids=["zip", "folder"])
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("broadcast", "layer Broadcast computes from constants alone"),
        ("outer-product", "layer Multiply computes from constants alone"),
        ("range", "layer Range makes more than 65536 values"),
        ("tile", "layer Tile computes from constants alone"),
        ("from-an-input", r"Broadcast takes it to 1\.07e.09 values"),
    ],
)
def test_an_ir_may_not_grow_beyond_what_its_bytes_pay_for(
    kind: str, message: str, archive: bool, hostile_bundles: ModuleType, tmp_path: Path
) -> None:
    """Built with OpenVINO's own operators: the file says nothing of the sizes that come out of them."""
    ops = import_untracked("openvino.opset8")
    patches = ops.parameter([-1, -1, 216], np.uint8, name="patches")
    mean = grown(kind, ops, patches)
    sizes = ops.concat(
        [ops.gather(ops.shape_of(patches), ops.constant(np.int64([0, 1])), ops.constant(np.int64(0))),
         ops.constant(np.int64([8]))], 0,
    )  # fmt: skip
    visual = ops.broadcast(mean, sizes)
    xml, weights = saved(visual, patches, tmp_path)
    made = bundle(xml, weights, hostile_bundles, tmp_path / "b.vljepa", archive=archive)
    with pytest.raises(BundleError, match=message):
        open_engine("openvino:cpu").load(made, "x_encoder")
