"""What a bundle can be made for: one row a target, with what looks at its graphs and what runs them by default.

`vljepa_export.formats` has the row that says how such a bundle is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["TARGETS", "Target"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One row.

    Attributes:
        name: As `Manifest.target` says.
        engines: What `auto` tries, in this order.
        check: File of `vljepa_runtime.graphs` and function that looks at a graph before an engine sees it; empty
            where the vendor's library alone can read it.
    """

    name: str
    engines: tuple[str, ...]
    check: str = ""


# For ONNX graphs `auto` is ONNX Runtime alone: OpenVINO is no faster with our float graphs and slower with our int8
# ones, whose operators it does not fuse (docs/benchmarks/formats.md has the numbers). TensorRT builds for minutes and
# Core ML's provider is reported slower than the CPU on a ViT, so ONNX Runtime's providers for both run only when named.
TARGETS: Mapping[str, Target] = {
    row.name: row
    for row in (
        Target(name="onnx", engines=("onnxruntime:cuda", "onnxruntime:cpu"), check="checking:check_onnx"),
        Target(name="openvino", engines=("openvino:cpu",), check="checking:check_openvino"),
        Target(name="tensorrt", engines=("tensorrt",), check="checking:check_onnx"),
        Target(name="tensorrt-rtx", engines=("tensorrt-rtx",)),
        Target(name="coreml", engines=("coreml",), check="checking:check_coreml"),
    )
}
