"""Is an exported graph the torch model? Seeded inputs through both; the numbers and their limits are the gates' own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vljepa_evaluation.gates import FLOAT, PSNR_FLOOR_DB, GraphParity, Sample, compare_outputs
from vljepa_export.errors import ParityError
from vljepa_runtime.engines.session_options import whole_sums

if TYPE_CHECKING:
    from vljepa_export.graphs import GraphDefinition
    from vljepa_runtime.contract import GraphContract, TensorSpec

__all__ = [
    "PSNR_FLOOR_DB",
    "GraphParity",
    "Runner",
    "asked",
    "compare",
    "onnx_runner",
    "require_float_parity",
    "require_parity",
    "torch_outputs",
]

Array = npt.NDArray[Any]
Feeds = Mapping[str, Array]
Runner = Callable[[Feeds], Sequence[Array]]


def onnx_runner(path: Path) -> Runner:
    """A graph on disk, its weights in it or beside it, in ONNX Runtime on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    whole_sums(options)
    # Integers with their steps are computed as the floats they stand for, whatever this library would make of the pair;
    # with whole sums it cannot run weights without zero points (1.32).
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(feeds: Feeds) -> Sequence[Array]:
        outputs: Sequence[Array] = session.run(None, dict(feeds))
        return outputs

    return run


def asked(definition: GraphDefinition, feeds: Sequence[Feeds]) -> tuple[Sample, ...]:
    """Inputs, and what the torch module gives for them."""
    return tuple(Sample(feeds=each, outputs=torch_outputs(definition, each)) for each in feeds)


def compare(contract: GraphContract, samples: Sequence[Sample], runner: Runner) -> GraphParity:
    """Compare a graph with what torch gave.

    Args:
        contract: Names its outputs.
        samples: Inputs and torch's outputs.
        runner: What is compared.

    Raises:
        ParityError: an output has another shape or type than torch gives.
    """
    found = []
    for sample in samples:
        found.append([np.asarray(array) for array in runner(sample.feeds)])
        for spec, wanted, got in zip(contract.outputs, sample.outputs, found[-1], strict=True):
            _require_like(contract.name, spec, wanted, got)
    return compare_outputs([sample.outputs for sample in samples], found)


def require_parity(
    name: str, parity: GraphParity, *, worst_cosine: float, psnr_db: float = PSNR_FLOOR_DB
) -> None:
    """Refuse a graph that is too far from torch.

    Raises:
        ParityError: with the number that failed.
    """
    if not parity.worst_cosine >= worst_cosine:
        raise ParityError(
            f"{name}: expected a worst cosine of at least {worst_cosine} against torch, got {parity.worst_cosine:.6f} "
            f"(mean {parity.mean_cosine:.6f} over {parity.rows} rows): keep this graph in fp32, "
            "or report a bug if it is fp32"
        )
    if not parity.psnr_db >= psnr_db:
        raise ParityError(
            f"{name}: expected at least {psnr_db} dB PSNR against torch, got {parity.psnr_db:.1f} dB"
        )


def require_float_parity(name: str, parity: GraphParity) -> None:
    """Refuse a float graph that is not what torch computes, before anything is made of it.

    Raises:
        ParityError: with the number that failed.
    """
    require_parity(name, parity, worst_cosine=FLOAT.worst_cosine, psnr_db=FLOAT.psnr_db)


def torch_outputs(definition: GraphDefinition, feeds: Feeds) -> tuple[Array, ...]:
    """What the torch module gives for one sample."""
    import torch

    with torch.no_grad():
        result = definition.module(*(torch.from_numpy(feeds[spec.name]) for spec in definition.inputs))
    tensors = [result] if isinstance(result, torch.Tensor) else result
    return tuple(tensor.numpy() for tensor in tensors)


def _require_like(graph: str, spec: TensorSpec, wanted: Array, got: Array) -> None:
    if wanted.dtype != got.dtype or wanted.shape != got.shape:
        raise ParityError(
            f"{graph}: output {spec.name}: torch gives {wanted.shape} {wanted.dtype}, the graph {got.shape} {got.dtype}"
        )
    if not np.isfinite(got).all():
        raise ParityError(f"{graph}: output {spec.name} has NaN or infinite values")
