"""How long a build will take, and how that is known. A number without a basis is not given."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from vljepa_runtime.engines.trt.cache import CachedEngine, Machine

__all__ = ["BuildEstimate", "estimate_build"]

# TensorRT for RTX 1.7.1, no GPU, two busy Zen 4 cores (docs/benchmarks/tensorrt.md): graphs of 1-12 MB took 0.6-2.5 s
# each, ViT-L in fp16 (607 MB) 35 s, the full-size predictor (1,509 MB) 46 s. It compiles and times nothing, so the GPU
# does not matter.
RTX_BASE_S, RTX_S_PER_MB = 1.0, 0.04


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildEstimate:
    """Seconds that a build will take; None where nothing comparable was measured. `basis` says why."""

    seconds: float | None
    basis: str


def estimate_build(
    machine: Machine, graph_bytes: int, profiles: int, history: Iterable[CachedEngine]
) -> BuildEstimate:
    """Estimate one build from the builds that were made here.

    Args:
        machine: What is built for.
        graph_bytes: Size of the ONNX file.
        profiles: How many profiles its recipe has; TensorRT chooses kernels anew for each.
        history: Engines built before.
    """
    before = [
        item for item in history if (item.machine.gpu, item.machine.library) == (machine.gpu, machine.library)
    ]
    if before:
        work = sum(item.graph_bytes * item.profiles for item in before)
        seconds = sum(item.seconds for item in before) * graph_bytes * profiles / max(1, work)
        count = f"{len(before)} build{'s' * (len(before) > 1)}"
        return BuildEstimate(seconds=seconds, basis=f"{count} on this machine, scaled by size and profiles")
    if machine.library == "tensorrt-rtx":
        return BuildEstimate(
            seconds=profiles * (RTX_BASE_S + RTX_S_PER_MB * graph_bytes / 1e6),
            basis="measured on two Zen 4 cores with TensorRT for RTX 1.7.1; the GPU plays no part",
        )
    return BuildEstimate(
        seconds=None,
        basis="TensorRT times its kernels on the GPU and none was built on this one yet; expect minutes for each "
        "graph, the next build is estimated from this one",
    )
