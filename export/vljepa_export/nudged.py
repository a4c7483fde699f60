"""A bundle whose float32 constants are off by a few roundings: what it gives is as right as what the other gives.

How far the two are apart tells how far another kind of CPU, or another version of an engine, may be: where activations
are quantised, one rounding of float32 becomes a whole step in some values, and the next layers multiply it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

from vljepa_runtime.bundle import Bundle, GraphSpec

__all__ = ["nudged"]

# ONNX Runtime 1.20 and 1.32, and the latter on CPUs of AVX2, AVX-512 and AMX, are as far apart in `tiny` as one to four
# roundings of all constants take it, in fp32, int8 and int4; single rows of int4 as far as sixteen.
ROUNDINGS = 16 * 2.0**-23
Place = tuple[str, int, int]  # file, first byte, and the one past its last
Files = dict[str, bytearray]


def nudged(bundle: Bundle) -> Bundle | None:
    """The same bundle in memory with other constants, computed in float32 where it may be computed in less.

    None for a target whose constants nobody here can change.
    """
    manifest = bundle.manifest
    if (places := PLACES.get(manifest.target)) is None:
        return None
    files = {name: bytearray(bundle.read(name)) for name in manifest.files}
    found = {place for spec in manifest.graphs.values() for place in places(files, spec)}
    for name, start, end in sorted(found):
        files[name][start:end] = _off(np.frombuffer(files[name][start:end], "<f4"), start).tobytes()
    return Bundle.in_memory(
        replace(manifest, execution={}), {name: bytes(data) for name, data in files.items()}
    )


def _onnx_places(files: Files, spec: GraphSpec) -> Iterator[Place]:
    """Constants in a graph are changed at once; those beside it are named, as several graphs may share them."""
    import onnx

    model = onnx.load_model_from_string(bytes(files[spec.file]))
    for tensor in model.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            said = {entry.key: entry.value for entry in tensor.external_data}
            name = posixpath.join(posixpath.dirname(spec.file), said["location"])
            start = int(said.get("offset", 0))
            yield name, start, start + 4 * int(np.prod(tensor.dims, dtype=np.int64))
        else:
            value = onnx.numpy_helper.to_array(tensor)
            changed = _off(value.ravel(), len(tensor.name)).reshape(value.shape)
            tensor.CopyFrom(onnx.numpy_helper.from_array(changed, tensor.name))
    files[spec.file][:] = model.SerializeToString()


def _ir_places(files: Files, spec: GraphSpec) -> Iterator[Place]:
    for layer in ElementTree.fromstring(bytes(files[spec.file])).iter("layer"):
        said = layer.find("data")
        if layer.get("type") == "Const" and said is not None and said.get("element_type") == "f32":
            start = int(said.get("offset", ""))
            yield spec.external[0], start, start + int(said.get("size", ""))


PLACES: Mapping[str, Callable[[Files, GraphSpec], Iterator[Place]]] = {
    "onnx": _onnx_places,
    "openvino": _ir_places,
}


def _off(values: npt.NDArray[np.float32], seed: int) -> npt.NDArray[np.float32]:
    """Each some roundings larger or smaller, by chance; whole numbers stay: exponents and masks are among them."""
    signs = np.random.default_rng(seed).choice((-ROUNDINGS, ROUNDINGS), values.shape)
    whole = np.round(values) == values
    return np.where(whole, values, values * (1 + np.where(whole, 0, signs))).astype(np.float32)
