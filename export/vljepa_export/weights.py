"""Constants that two graphs share, stored once in a file beside them (the Y-decoder's prefill and step)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx
from onnx import TensorProto

from vljepa_quant.graph_editor import save_bytes

__all__ = ["share_weights"]

# Small constants stay in the graph: a shape that lives in another file helps nobody.
SMALLEST_SHARED = 1024
ALIGNMENT = 64


def share_weights(graphs: Mapping[str, onnx.ModelProto], *, file: str) -> tuple[dict[str, bytes], bytes]:
    """Serialise graphs with their common constants moved to one file.

    Args:
        graphs: By name; not changed.
        file: Name of the file of common constants, in the same folder as the graphs.

    Returns:
        The graphs as bytes by name, and the content of `file` (empty when nothing is shared).
    """
    copies = {name: _copy(model) for name, model in graphs.items()}
    wanted = _common(list(copies.values()))
    offsets: dict[bytes, int] = {}
    content = bytearray()
    for _, model in sorted(copies.items()):
        for tensor in model.graph.initializer:
            key = _key(tensor)
            if key not in wanted:
                continue
            if key not in offsets:
                content.extend(bytes(-len(content) % ALIGNMENT))
                offsets[key] = len(content)
                content.extend(tensor.raw_data)
            _point(tensor, file, offsets[key])
    return {name: save_bytes(model) for name, model in copies.items()}, bytes(content)


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def _common(models: Sequence[onnx.ModelProto]) -> set[bytes]:
    keys = [{_key(tensor) for tensor in model.graph.initializer if _large(tensor)} for model in models]
    return {key for i, own in enumerate(keys) for key in own if any(key in other for other in keys[i + 1 :])}


def _large(tensor: TensorProto) -> bool:
    return len(tensor.raw_data) >= SMALLEST_SHARED


def _key(tensor: TensorProto) -> bytes:
    head = f"{tensor.data_type} {list(tensor.dims)} ".encode()
    return head + tensor.raw_data


def _point(tensor: TensorProto, file: str, offset: int) -> None:
    length = len(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    del tensor.external_data[:]
    for key, value in (("location", file), ("offset", str(offset)), ("length", str(length))):
        tensor.external_data.add(key=key, value=value)
