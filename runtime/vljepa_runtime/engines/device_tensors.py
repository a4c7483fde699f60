"""ONNX Runtime's values that stay in a device's memory between graphs, and runs that read and leave them there."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vljepa_runtime.engines.protocol import Array, Tensor

__all__ = ["DeviceTensor", "run_bound"]


class DeviceTensor:
    """A `Tensor` in a device's memory; NumPy gets a copy of it.

    Args:
        value: The library's OrtValue, which owns the memory.
        dtype: NumPy's name of its type.
    """

    def __init__(self, value: Any, dtype: str) -> None:
        self.value = value
        self.shape: tuple[int, ...] = tuple(value.shape())
        self.dtype: np.dtype[Any] = np.dtype(dtype)

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> Array:
        array = np.asarray(self.value.numpy())
        return array if dtype is None else array.astype(dtype, copy=False)


def run_bound(
    session: Any,
    feeds: Mapping[str, Tensor],
    outputs: Sequence[tuple[str, str]],
    *,
    keep: Collection[str],
    device: str,
    options: Any,
) -> dict[str, Tensor]:
    """Run a session on values that lie on its device or in NumPy.

    Args:
        session: ONNX Runtime's.
        feeds: Value per input.
        outputs: Name and type of each output.
        keep: Names of those that stay on the device.
        device: The library's word for it, such as `cuda`.
        options: Of the run.
    """
    binding = session.io_binding()
    for name, value in feeds.items():
        if isinstance(value, DeviceTensor):
            binding.bind_ortvalue_input(name, value.value)
        else:
            binding.bind_cpu_input(name, np.ascontiguousarray(value))
    for name, _ in outputs:
        binding.bind_output(name, device if name in keep else "cpu")
    session.run_with_iobinding(binding, options)
    return {
        name: DeviceTensor(value, dtype) if name in keep else np.asarray(value.numpy())
        for (name, dtype), value in zip(outputs, binding.get_outputs(), strict=True)
    }
