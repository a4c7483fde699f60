"""A loaded engine behind the `Graph` protocol: shapes, profiles, and buffers that are not copied without need.

On a board where CPU and GPU share memory, inputs and outputs lie in page-locked memory that both see; elsewhere they
are copied once each way. Results stay page-locked, so the predictor reads the X-encoder's tokens, and a decoder
step its caches, where they already lie.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from vljepa_runtime.bundle import GraphSpec
from vljepa_runtime.contract import TensorSpec
from vljepa_runtime.engines.protocol import Array, LoadedGraph
from vljepa_runtime.engines.trt.cuda import Device, Pinned, owner
from vljepa_runtime.engines.trt.library import Library
from vljepa_runtime.engines.trt.recipe import BuildRecipe
from vljepa_runtime.errors import EngineError, RunError

__all__ = ["TensorRTGraph", "tensor_types"]

# TensorRT's name of a type -> the bundle's.
_DTYPES = {
    "FLOAT": "float32", "HALF": "float16", "BF16": "bfloat16", "INT8": "int8", "INT32": "int32", "INT64": "int64",
    "BOOL": "bool", "UINT8": "uint8",
}  # fmt: skip


class TensorRTGraph(LoadedGraph):
    """One execution context; runs are made one after the other.

    Args:
        name: Name in the bundle, for messages.
        spec: Inputs and outputs that the manifest lists.
        recipe: What it was built with; chooses the profile.
        context: The library's execution context.
        device: The GPU that holds the buffers.
        engine: Name of the engine, for messages.
        held: What the context needs (engine, then runtime); let go in this order, after the context.
        after_first_run: Called once, when the first run is over.
    """

    def __init__(
        self,
        name: str,
        spec: GraphSpec,
        recipe: BuildRecipe,
        context: Any,
        device: Device,
        *,
        engine: str = "tensorrt",
        held: Sequence[Any] = (),
        after_first_run: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(name, spec, engine=engine)
        self._context: Any = context
        self._held = list(held)
        self._recipe = recipe
        self._stream = device.stream()
        self._memory = _Shared(device) if device.integrated else _Copied(device, self._stream)
        self._device = device
        self._profile = -1
        self._lock = threading.Lock()
        self._after_first_run = after_first_run

    def _compute(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        profile = self._recipe.choose(self.name, {name: array.shape for name, array in feeds.items()})
        with self._lock:
            results = self._run(profile, feeds)
            if self._after_first_run is not None:
                self._after_first_run()
                self._after_first_run = None
        return results

    def __del__(self) -> None:
        # A context must not outlive its engine, nor an engine its runtime.
        self._context = None
        while self._held:
            self._held.pop(0)

    def _run(self, profile: int, feeds: Mapping[str, Array]) -> dict[str, Array]:
        context = self._context
        if profile != self._profile:
            self._check(context.set_optimization_profile_async(profile, self._stream), f"profile {profile}")
            self._profile = profile
        held = []  # the memory of every input, until the run is over
        for name, array in feeds.items():
            self._check(context.set_input_shape(name, array.shape), f"the shape {array.shape} of {name}")
            address, keep = self._memory.input(name, np.ascontiguousarray(array))
            held.append(keep)
            context.set_tensor_address(name, address)
        results = {spec.name: self._result(spec) for spec in self.outputs}
        for name, (block, array) in results.items():
            context.set_tensor_address(name, self._memory.output(name, block, array.nbytes))
        self._check(context.execute_async_v3(self._stream), "the run")
        for name, (block, array) in results.items():
            self._memory.fetch(name, block, array.nbytes)
        self._device.synchronize(self._stream)
        held.clear()
        return {name: array for name, (_, array) in results.items()}

    def _result(self, spec: TensorSpec) -> tuple[Pinned, Array]:
        shape = tuple(int(size) for size in self._context.get_tensor_shape(spec.name))
        if min(shape, default=1) < 1:
            raise RunError(
                f"{self.name}: TensorRT gives no size for {spec.name}, got {shape}: export it again"
            )
        block = self._device.pinned(int(np.prod(shape)) * np.dtype(spec.dtype).itemsize)
        return block, block.array(shape, spec.dtype)

    def _check(self, done: bool, what: str) -> None:
        if not done:
            raise RunError(f"{self.name}: TensorRT refused {what}: build it again, or try another --engine")


class _Shared:
    """Buffers for a GPU that reads the host's memory: addresses instead of copies."""

    def __init__(self, device: Device) -> None:
        self._device = device

    def input(self, name: str, array: Array) -> tuple[int, object]:
        """The GPU's address of an input, and what keeps it alive. Only foreign memory is copied."""
        block = owner(array)
        if block is None:
            block = self._device.pinned(array.nbytes)
            block.array(array.shape, array.dtype.name)[...] = array
            return self._device.seen_by_gpu(block.address), block
        return self._device.seen_by_gpu(block.address) + array.ctypes.data - block.address, array

    def output(self, name: str, block: Pinned, size: int) -> int:
        """Where the GPU writes an output."""
        return self._device.seen_by_gpu(block.address)

    def fetch(self, name: str, block: Pinned, size: int) -> None:
        """Nothing: the output is where the CPU reads it."""


class _Copied:
    """Buffers for a GPU with its own memory; each grows to the largest size it has seen and goes with the graph."""

    def __init__(self, device: Device, stream: int) -> None:
        self._device = device
        self._stream = stream
        self._buffers: dict[str, tuple[int, int]] = {}

    def input(self, name: str, array: Array) -> tuple[int, object]:
        """Copy an input over; page-locked memory goes straight, other memory by way of the driver's own."""
        address = self._buffer(name, array.nbytes)
        self._device.copy(address, array.ctypes.data, array.nbytes, self._stream)
        return address, array

    def output(self, name: str, block: Pinned, size: int) -> int:
        """Where the GPU writes an output."""
        return self._buffer(name, size)

    def fetch(self, name: str, block: Pinned, size: int) -> None:
        """Copy an output back."""
        self._device.copy(block.address, self._buffers[name][0], size, self._stream)

    def __del__(self) -> None:
        with suppress(EngineError):  # CUDA may be gone already when the interpreter ends
            for address, _ in self._buffers.values():
                self._device.free(address)

    def _buffer(self, name: str, size: int) -> int:
        address, room = self._buffers.get(name, (0, 0))
        if room < size:
            if address:
                self._device.synchronize(self._stream)
                self._device.free(address)
            address, room = self._device.allocate(size), size
            self._buffers[name] = address, room
        return address


def tensor_types(library: Library, engine: Any) -> tuple[dict[str, str], dict[str, str]]:
    """Type per name of an engine's inputs, and of its outputs."""
    found: tuple[dict[str, str], dict[str, str]] = {}, {}
    for index in range(engine.num_io_tensors):
        name = engine.get_tensor_name(index)
        kind = engine.get_tensor_dtype(name).name
        is_output = engine.get_tensor_mode(name) == library.module.TensorIOMode.OUTPUT
        found[is_output][name] = _DTYPES.get(kind, kind)
    return found
