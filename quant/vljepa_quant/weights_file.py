"""Constants of graphs in one file beside them, written array by array and read by mapping."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from vljepa_runtime.closing import Closing

__all__ = ["PAGE", "WeightsFile", "is_worth_a_file", "mapped_constants"]

Array = npt.NDArray[Any]
# Small constants stay in the graph: a shape that lives in another file helps nobody.
SMALLEST = 1024
PAGE = 4096  # engines map a tensor that begins at one where it lies


def is_worth_a_file(value: Array) -> bool:
    """Whether a constant is large enough to lie outside its graph."""
    return value.nbytes >= SMALLEST


class WeightsFile(Closing):
    """Writes arrays one after the other; equal ones, of one graph or of several, are stored once.

    Args:
        path: Written anew.
        alignment: Of every array in the file, in bytes.
        holds: Which of the large arrays to store; the rest stays in its graph.

    Examples:
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from vljepa_quant import WeightsFile
        >>> with WeightsFile(Path("shared.weights")) as weights:
        ...     table = np.zeros((64, 64), np.float32)
        ...     first, second = weights.add("prefill.table", table), weights.add("step.table", table)
        >>> weights.size, first.external_data == second.external_data
        (16384, True)
    """

    def __init__(
        self, path: Path, *, alignment: int = PAGE, holds: Callable[[Array], bool] = is_worth_a_file
    ) -> None:
        self.path, self.size = path, 0
        self._alignment, self._holds = alignment, holds
        self._file = path.open("wb")
        self._places: dict[bytes, tuple[int, int]] = {}

    def close(self) -> None:
        """Complete the file."""
        self._file.close()

    def add(self, name: str, value: Array) -> TensorProto:
        """Store an array; the initializer that refers to it, or holds it when it is small."""
        if not (is_worth_a_file(value) and self._holds(value)):
            return numpy_helper.from_array(value, name)
        data = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
        key = hashlib.sha256(data.data).digest()
        if key not in self._places:
            self._file.write(bytes(-self.size % self._alignment))
            self._places[key] = (self._file.tell(), data.nbytes)
            self._file.write(data.data)
            self.size = self._file.tell()
            self._file.flush()  # a session may map the file before the next graph is written
        offset, length = self._places[key]
        tensor = TensorProto(
            name=name,
            dims=value.shape,
            data_type=helper.np_dtype_to_tensor_dtype(value.dtype),
            data_location=TensorProto.EXTERNAL,
        )
        for entry, text in (("location", self.path.name), ("offset", str(offset)), ("length", str(length))):
            tensor.external_data.add(key=entry, value=text)
        return tensor


def mapped_constants(model: onnx.ModelProto, folder: Path) -> Mapping[str, Array]:
    """The initializers of a model whose data lies in files of `folder`, mapped read-only."""
    arrays: dict[str, Array] = {}
    for item in model.graph.initializer:
        if item.data_location != TensorProto.EXTERNAL:
            continue
        entries = {entry.key: entry.value for entry in item.external_data}
        arrays[item.name] = np.memmap(
            folder / entries["location"],
            dtype=helper.tensor_dtype_to_np_dtype(item.data_type),
            mode="r",
            offset=int(entries["offset"]),
            shape=tuple(item.dims),
        )
    return arrays
