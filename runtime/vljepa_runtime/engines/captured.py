"""Runs of one usual size that are captured once as a CUDA graph and replayed: no launch is paid for again.

A capture belongs to the thread that made it and to the buffers it was made with. So one thread makes all runs of a
graph, inputs are copied into its buffers, and what is kept is copied out of them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from vljepa_runtime.contract import TensorSpec
from vljepa_runtime.engines.device_tensors import DeviceTensor, run_bound
from vljepa_runtime.engines.protocol import Tensor

__all__ = ["CapturedRuns"]

_WHICH = "gpu_graph_id"  # of a run: under which number it is captured; -1 for a run that is not
Shapes = Mapping[str, tuple[int, ...]]


class CapturedRuns:
    """Runs of a session whose provider captures.

    Args:
        session: ONNX Runtime's.
        inputs: Of the graph.
        outputs: Of the graph.
        usual: Shape per input of the runs that are captured; their symbols decide the shapes of the outputs.
        device: The library's word for the memory.
    """

    def __init__(
        self,
        session: Any,
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        usual: Shapes,
        *,
        device: str,
    ) -> None:
        self._session, self._device = session, device
        self._inputs, self._outputs, self._usual = inputs, outputs, dict(usual)
        self._buffers: dict[str, Any] = {}
        self._binding: Any = None
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="captured")

    def run(self, feeds: Mapping[str, Tensor], *, keep: Collection[str], options: Any) -> dict[str, Tensor]:
        """See `run_bound`."""
        return self._worker.submit(self._run, feeds, keep, options).result()

    def _run(self, feeds: Mapping[str, Tensor], keep: Collection[str], options: Any) -> dict[str, Tensor]:
        if {name: value.shape for name, value in feeds.items()} != self._usual:
            options.add_run_config_entry(_WHICH, "-1")
            outputs = [(spec.name, spec.dtype) for spec in self._outputs]
            return run_bound(self._session, feeds, outputs, keep=keep, device=self._device, options=options)
        options.add_run_config_entry(_WHICH, "1")
        if self._binding is None:
            self._bind()
        for name, value in feeds.items():
            given = value.value if isinstance(value, DeviceTensor) else np.ascontiguousarray(value)
            _copy(given, self._buffers[name])
        self._session.run_with_iobinding(self._binding, options)
        return {spec.name: self._result(spec, keep) for spec in self._outputs}

    def _bind(self) -> None:
        sizes = {
            symbol: size
            for spec in self._inputs
            for symbol, size in zip(spec.shape, self._usual[spec.name])
            if isinstance(symbol, str)
        }
        self._binding = self._session.io_binding()
        for spec in (*self._inputs, *self._outputs):
            self._buffers[spec.name] = self._empty(spec.sized(sizes), spec.dtype)
        for spec in self._inputs:
            self._binding.bind_ortvalue_input(spec.name, self._buffers[spec.name])
        for spec in self._outputs:
            self._binding.bind_ortvalue_output(spec.name, self._buffers[spec.name])

    def _result(self, spec: TensorSpec, keep: Collection[str]) -> Tensor:
        buffer = self._buffers[spec.name]
        if spec.name not in keep:
            return np.array(buffer.numpy())
        own = self._empty(tuple(buffer.shape()), spec.dtype)
        _copy(buffer, own)
        return DeviceTensor(own, spec.dtype)

    def _empty(self, shape: tuple[int, ...], dtype: str) -> Any:
        import onnxruntime

        return onnxruntime.OrtValue.ortvalue_from_shape_and_type(
            list(shape), np.dtype(dtype), self._device, 0
        )


def _copy(source: Any, buffer: Any) -> None:
    """Values of NumPy or of a device into a buffer; older libraries take NumPy's alone."""
    try:
        buffer.update_inplace(source)
    except TypeError:
        buffer.update_inplace(source.numpy())
