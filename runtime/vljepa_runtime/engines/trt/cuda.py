"""The few calls of the CUDA runtime that running an engine needs, through NVIDIA's `cuda-bindings`. No torch."""

from __future__ import annotations

import re
import threading
from collections import defaultdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from vljepa_runtime.errors import DeviceMissingError, MissingEngineExtraError, RunError

__all__ = ["Cuda", "Device", "Pinned", "bindings_installed", "owner"]

Array = npt.NDArray[Any]
SMALLEST_BLOCK = 4096
_DRIVER = Path("/proc/driver/nvidia/version")


class Device(Protocol):
    """What the memory of a graph asks of a GPU; `Cuda` is the real one."""

    integrated: bool

    def pinned(self, size: int) -> Pinned:
        """Page-locked host memory of at least `size` bytes."""

    def give_back(self, address: int, size: int) -> None:
        """Take a block that nothing refers to any more."""

    def seen_by_gpu(self, address: int) -> int:
        """The GPU's address of page-locked host memory."""

    def allocate(self, size: int) -> int:
        """Memory on the GPU."""

    def free(self, address: int) -> None:
        """Give it back."""

    def copy(self, to: int, source: int, size: int, stream: int) -> None:
        """Copy between host and GPU, in the order of a stream."""

    def stream(self) -> int:
        """A new stream."""

    def synchronize(self, stream: int) -> None:
        """Wait for a stream."""


class Pinned:
    """A block of page-locked host memory that NumPy can look into; it returns to its device when nothing does."""

    def __init__(self, device: Device, address: int, size: int) -> None:
        self.address = address
        self.size = size
        self._device = device

    @property
    def __array_interface__(self) -> dict[str, Any]:
        return {"data": (self.address, False), "shape": (self.size,), "typestr": "|u1", "version": 3}

    def array(self, shape: tuple[int, ...], dtype: str) -> Array:
        """The beginning of the block as an array, which keeps the block alive."""
        kind = np.dtype(dtype)
        count = int(np.prod(shape, dtype=np.int64))
        return np.asarray(self)[: count * kind.itemsize].view(kind).reshape(shape)

    def __del__(self) -> None:
        self._device.give_back(self.address, self.size)


def bindings_installed() -> bool:
    """Whether `cuda-bindings` is there; a driver may still be missing."""
    return find_spec("cuda") is not None and find_spec("cuda.bindings") is not None


def owner(array: Array) -> Pinned | None:
    """The block that a contiguous array lies in; None for ordinary memory."""
    base: Any = array if array.flags.c_contiguous else None
    while base is not None and not isinstance(base, Pinned):
        base = getattr(base, "base", None)
    return base


class Cuda:
    """The first CUDA device.

    Attributes:
        name: As the driver calls it.
        compute_capability: For example `8.7`.
        driver: Its version.
        integrated: CPU and GPU share their memory (Jetson), so nothing needs copying.

    Raises:
        MissingEngineExtraError: cuda-bindings is not installed.
        DeviceMissingError: there is no device, or the driver is too old.
    """

    def __init__(self) -> None:
        try:
            from cuda.bindings import runtime
        except ImportError as error:
            raise MissingEngineExtraError("cuda-bindings", "tensorrt") from error
        self._api: Any = runtime
        self._free: dict[int, list[int]] = defaultdict(list)
        self._lock = threading.Lock()
        try:
            count = self._call("cudaGetDeviceCount")
        except RunError as error:  # how the runtime says that there is no driver
            raise DeviceMissingError(str(error)) from error
        if count == 0:
            raise DeviceMissingError(
                "expected a CUDA device, found none: check with nvidia-smi, or use another --engine"
            )
        properties = self._call("cudaGetDeviceProperties", 0)
        self.name: str = properties.name.split(b"\0")[0].decode()
        self.compute_capability = f"{properties.major}.{properties.minor}"
        self.integrated = bool(properties.integrated)
        self.driver = _driver_version() or f"for CUDA {self._call('cudaDriverGetVersion')}"

    def pinned(self, size: int) -> Pinned:
        """See `Device.pinned`; blocks come in powers of two and are used again."""
        rounded = max(SMALLEST_BLOCK, 1 << (size - 1).bit_length())
        with self._lock:
            address = self._free[rounded].pop() if self._free[rounded] else 0
        if not address:
            address = int(self._call("cudaHostAlloc", rounded, self._api.cudaHostAllocMapped))
        return Pinned(self, address, rounded)

    def give_back(self, address: int, size: int) -> None:
        """See `Device.give_back`."""
        with self._lock:
            self._free[size].append(address)

    def seen_by_gpu(self, address: int) -> int:
        """See `Device.seen_by_gpu`."""
        return int(self._call("cudaHostGetDevicePointer", address, 0))

    def allocate(self, size: int) -> int:
        """See `Device.allocate`."""
        return int(self._call("cudaMalloc", size))

    def free(self, address: int) -> None:
        """See `Device.free`."""
        self._call("cudaFree", address)

    def copy(self, to: int, source: int, size: int, stream: int) -> None:
        """See `Device.copy`."""
        self._call("cudaMemcpyAsync", to, source, size, self._api.cudaMemcpyKind.cudaMemcpyDefault, stream)

    def stream(self) -> int:
        """See `Device.stream`."""
        return int(self._call("cudaStreamCreateWithFlags", self._api.cudaStreamNonBlocking))

    def synchronize(self, stream: int) -> None:
        """See `Device.synchronize`."""
        self._call("cudaStreamSynchronize", stream)

    def _call(self, function: str, *args: Any) -> Any:
        """Call the runtime; its status becomes an error, its one result is returned."""
        status, *results = getattr(self._api, function)(*args)
        if int(status) != 0:
            _, text = self._api.cudaGetErrorString(status)
            reason = text.decode() if isinstance(text, bytes) else str(text)
            raise RunError(f"CUDA: {function} failed: {reason}: check the driver with nvidia-smi")
        return results[0] if results else None


def _driver_version() -> str:
    try:
        found = re.search(r"\s(\d+\.\d+(?:\.\d+)?)\s", _DRIVER.read_text(encoding="utf-8"))
    except OSError:
        return ""
    return found[1] if found else ""
