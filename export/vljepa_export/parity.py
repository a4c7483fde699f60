"""Is an exported graph the torch model? Seeded inputs through both; the numbers and their limits are the gates' own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnx

from vljepa_data.gates import PSNR_FLOOR_DB, GraphParity, compare_outputs, limits_for
from vljepa_export.errors import ParityError
from vljepa_quant.graph_editor import save_bytes
from vljepa_runtime.engines import check_feeds
from vljepa_runtime.errors import InputError
from vljepa_runtime.manifest import GraphSpec

if TYPE_CHECKING:
    from vljepa_export.graphs import GraphDefinition, TensorAxes

__all__ = [
    "PSNR_FLOOR_DB",
    "GraphParity",
    "Runner",
    "compare",
    "fitting_samples",
    "measure_parity",
    "onnx_runner",
    "require_float_parity",
    "require_parity",
    "torch_outputs",
]

Array = npt.NDArray[Any]
Feeds = Mapping[str, Array]
Runner = Callable[[Feeds], Sequence[Array]]


def measure_parity(
    model: onnx.ModelProto, definition: GraphDefinition, samples: Sequence[Feeds]
) -> GraphParity:
    """Run the torch module and ONNX Runtime's CPU engine on the same inputs and compare.

    Raises:
        ParityError: an output has another shape or type than torch gives.
    """
    return compare(definition, samples, onnx_runner(save_bytes(model)))


def onnx_runner(graph: bytes | Path) -> Runner:
    """A graph, in memory or on disk with its weights beside it, in ONNX Runtime on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    content = graph if isinstance(graph, bytes) else str(graph)
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def run(feeds: Feeds) -> Sequence[Array]:
        outputs: Sequence[Array] = session.run(None, dict(feeds))
        return outputs

    return run


def compare(
    definition: GraphDefinition,
    samples: Sequence[Feeds],
    runner: Runner,
    expected: Sequence[Sequence[Array]] | None = None,
) -> GraphParity:
    """Compare `runner` (feeds -> outputs in order) with the torch module.

    Args:
        definition: The graph's contract and module.
        samples: Inputs.
        runner: What is compared.
        expected: Outputs per sample as `torch_outputs` gave them; None works them out, sample by sample.

    Raises:
        ParityError: an output has another shape or type than torch gives.
    """
    wanted, got = [], []
    for index, feeds in enumerate(samples):
        truth = torch_outputs(definition, feeds) if expected is None else expected[index]
        results = [np.asarray(array) for array in runner(feeds)]
        for spec, a, b in zip(definition.outputs, truth, results, strict=True):
            _require_like(definition.name, spec, a, b)
        wanted.append(truth)
        got.append(results)
    return compare_outputs(wanted, got)


def fitting_samples(name: str, spec: GraphSpec, samples: Sequence[Feeds]) -> list[Feeds]:
    """Those samples whose sizes a converted graph takes: one with token budgets takes no other token count.

    Raises:
        ParityError: none fits.
    """
    fitting = [feeds for feeds in samples if _fits(name, spec, feeds)]
    if not fitting:
        inputs = ", ".join(f"{tensor.name} {tensor.shape}" for tensor in spec.inputs)
        raise ParityError(
            f"{name}: expected a sample of the sizes that the graph takes ({inputs}), there is none"
        )
    return fitting


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
    floats = limits_for("fp32")
    require_parity(name, parity, worst_cosine=floats.worst_cosine, psnr_db=floats.psnr_db)


def torch_outputs(definition: GraphDefinition, feeds: Feeds) -> list[Array]:
    """What the torch module gives for one sample."""
    import torch

    with torch.no_grad():
        result = definition.module(*(torch.from_numpy(feeds[spec.name]) for spec in definition.inputs))
    tensors = [result] if isinstance(result, torch.Tensor) else list(result)
    return [tensor.numpy() for tensor in tensors]


def _fits(name: str, spec: GraphSpec, feeds: Feeds) -> bool:
    types = {tensor.name: tensor.dtype for tensor in spec.inputs}
    if spec.token_budgets and any(
        value.shape[1] not in spec.token_budgets
        for key, value in feeds.items()
        if key in ("patches", "visual")
    ):
        return False
    try:
        check_feeds(
            name,
            spec.inputs,
            {key: value.astype(types.get(key, value.dtype)) for key, value in feeds.items()},
        )
    except InputError:
        return False
    return True


def _require_like(graph: str, spec: TensorAxes, wanted: Array, got: Array) -> None:
    if wanted.dtype != got.dtype or wanted.shape != got.shape:
        raise ParityError(
            f"{graph}: output {spec.name}: torch gives {wanted.shape} {wanted.dtype}, the graph {got.shape} {got.dtype}"
        )
    if not np.isfinite(got).all():
        raise ParityError(f"{graph}: output {spec.name} has NaN or infinite values")
