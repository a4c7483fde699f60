"""Which device a bundle was made for, and what to say where it runs on another."""

from __future__ import annotations

from collections.abc import Mapping

from vljepa_runtime.bundle import Manifest
from vljepa_runtime.engines.session_options import WHOLE_SUMS_SINCE, sums_are_cut_off

__all__ = ["advice", "made_for"]

CPU, GPU = "cpu", "gpu"
# Devices of `onnxruntime` that are NVIDIA GPUs.
_GPUS = frozenset(f"onnxruntime:{device}" for device in ("cuda", "cuda-graph", "tensorrt", "nvtensorrtrtx"))
# Labels of ONNX graphs whose operators have fast kernels on CPUs alone. On an H200 a window of `tiny` took 15.1 ms in
# int8 and 5.2 ms in fp32; its words took 15.2 ms in int8, and 4.3 ms on the CPU beside it.
_EIGHT_BIT = "int8-dynamic"
_FOR_CPUS = frozenset((_EIGHT_BIT, "int4-weights"))
_HALF: Mapping[str, str] = {"f16": "float16", "bf16": "bfloat16"}


def made_for(manifest: Manifest) -> str:
    """`cpu` or `gpu` where an ONNX bundle is fast on one of them alone; empty where it is not known to be."""
    if manifest.target != "onnx":
        return ""
    if _half(manifest):
        return GPU
    return CPU if _FOR_CPUS & set(manifest.precision.values()) else ""


def advice(manifest: Manifest, engine: str) -> str:
    """One sentence where another precision suits the device of an engine better; empty where none does.

    Args:
        manifest: Of the bundle.
        engine: What really runs.
    """
    if manifest.target != "onnx":
        return ""
    suited, half = made_for(manifest), _half(manifest)
    if engine in _GPUS and suited == CPU:
        label = next(label for label in manifest.precision.values() if label in _FOR_CPUS)
        return f"{label} is for CPUs: export --precision fp16 for this GPU"
    if engine in _GPUS and not half:
        return "fp32 takes two to four times as long as it must: export --precision fp16 or bf16 for this GPU"
    if engine == "onnxruntime:cpu" and half:
        return f"{half} is for GPUs, and this CPU computes it in float32: export --precision int8 for it"
    if engine == "onnxruntime:cpu" and _EIGHT_BIT in manifest.precision.values() and sums_are_cut_off():
        return (
            "int8 is less exact on this processor with this ONNX Runtime: pip install -U 'onnxruntime>="
            f"{'.'.join(map(str, WHOLE_SUMS_SINCE))}', or export --precision fp32"
        )
    return ""


def _half(manifest: Manifest) -> str:
    """The half-wide type that a bundle computes in, in full; empty for float32."""
    return next((name for kind, name in _HALF.items() if kind in manifest.execution.values()), "")
