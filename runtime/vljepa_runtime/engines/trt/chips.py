"""Which GPUs a portable library runs on: said before anything is built, or loaded, for one that it does not."""

from __future__ import annotations

from typing import Protocol

from vljepa_runtime.engines.trt.library import Library
from vljepa_runtime.errors import DeviceMissingError

__all__ = ["require_chip"]


class Chip(Protocol):
    """A GPU, as `Cuda` sees it."""

    @property
    def name(self) -> str:
        """As the driver calls it."""

    @property
    def compute_capability(self) -> str:
        """For example `8.9`."""


def require_chip(library: Library, gpu: Chip) -> None:
    """Refuse a data-centre chip, for which TensorRT for RTX builds engines and runs none (seen on an H200, 9.0).

    Raises:
        DeviceMissingError: the library does not know this GPU's compute capability.
    """
    known = [name[2:] for name in library.module.ComputeCapability.__members__ if name.startswith("SM")]
    capabilities = [f"{number[:-1]}.{number[-1]}" for number in known]
    if gpu.compute_capability not in capabilities:
        raise DeviceMissingError(
            f"{library.name} {library.version} runs on RTX cards ({', '.join(capabilities)}), {gpu.name} is "
            f"{gpu.compute_capability}: export with --format onnx --precision fp16 for --engine onnxruntime:cuda, "
            "or use tensorrt"
        )
