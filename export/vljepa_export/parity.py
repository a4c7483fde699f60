"""Is an exported graph the torch model? Seeded inputs through both, compared row by row.

A row is one token or one vector: the last axis of an output.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnx

from vljepa_export.errors import ParityError
from vljepa_quant.graph_editor import save_bytes

if TYPE_CHECKING:
    from vljepa_export.graphs import GraphDefinition, TensorAxes

__all__ = [
    "PSNR_FLOOR_DB",
    "GraphParity",
    "compare",
    "measure_file",
    "measure_parity",
    "require_parity",
    "torch_outputs",
]

Array = npt.NDArray[Any]
Feeds = Mapping[str, Array]
Runner = Callable[[Feeds], Sequence[Array]]

PSNR_FLOOR_DB = 35.0  # below this a float export is broken, whatever its cosine says
PSNR_CEILING_DB = 200.0  # what equal arrays count as, so that every number is finite


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphParity:
    """How near a graph is to torch, over all samples.

    Attributes:
        mean_cosine: Mean over all rows of all outputs.
        p1_cosine: The first percentile: one row in a hundred is worse.
        worst_cosine: The smallest.
        max_abs: Largest absolute difference of any value.
        psnr_db: Peak signal to noise ratio of the worst output, in dB.
        rows: How many rows were compared.
    """

    mean_cosine: float
    p1_cosine: float
    worst_cosine: float
    max_abs: float
    psnr_db: float
    rows: int


def measure_parity(
    model: onnx.ModelProto, definition: GraphDefinition, samples: Sequence[Feeds]
) -> GraphParity:
    """Run the torch module and ONNX Runtime's CPU engine on the same inputs and compare.

    Raises:
        ParityError: an output has another shape or type than torch gives.
    """
    return compare(definition, samples, _session(save_bytes(model)))


def measure_file(
    path: Path, definition: GraphDefinition, samples: Sequence[Feeds], expected: Sequence[Sequence[Array]]
) -> GraphParity:
    """As `measure_parity`, for a graph on disk, with torch's outputs worked out beforehand.

    Raises:
        ParityError: an output has another shape or type than torch gave.
    """
    return compare(definition, samples, _session(str(path)), expected)


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
    pairs: list[list[tuple[Array, Array]]] = [[] for _ in definition.outputs]
    for index, feeds in enumerate(samples):
        wanted = torch_outputs(definition, feeds) if expected is None else expected[index]
        got = runner(feeds)
        for collected, spec, a, b in zip(pairs, definition.outputs, wanted, got, strict=True):
            _require_like(definition.name, spec, a, np.asarray(b))
            collected.append((_rows(a), _rows(np.asarray(b))))
    outputs = [tuple(np.concatenate(side) for side in zip(*collected)) for collected in pairs]
    cosines = np.concatenate([_cosines(a, b) for a, b in outputs])
    return GraphParity(
        mean_cosine=float(cosines.mean()),
        p1_cosine=float(np.percentile(cosines, 1)),
        worst_cosine=float(cosines.min()),
        max_abs=max(float(np.abs(a - b).max()) for a, b in outputs),
        psnr_db=min(_psnr(a, b) for a, b in outputs),
        rows=len(cosines),
    )


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


def torch_outputs(definition: GraphDefinition, feeds: Feeds) -> list[Array]:
    """What the torch module gives for one sample."""
    import torch

    with torch.no_grad():
        result = definition.module(*(torch.from_numpy(feeds[spec.name]) for spec in definition.inputs))
    tensors = [result] if isinstance(result, torch.Tensor) else list(result)
    return [tensor.numpy() for tensor in tensors]


def _session(content: bytes | str) -> Runner:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def run(feeds: Feeds) -> Sequence[Array]:
        outputs: Sequence[Array] = session.run(None, dict(feeds))
        return outputs

    return run


def _require_like(graph: str, spec: TensorAxes, wanted: Array, got: Array) -> None:
    if wanted.dtype != got.dtype or wanted.shape != got.shape:
        raise ParityError(
            f"{graph}: output {spec.name}: torch gives {wanted.shape} {wanted.dtype}, the graph {got.shape} {got.dtype}"
        )
    if not np.isfinite(got).all():
        raise ParityError(f"{graph}: output {spec.name} has NaN or infinite values")


def _rows(array: Array) -> Array:
    return array.reshape(-1, array.shape[-1]).astype(np.float64)


def _cosines(a: Array, b: Array) -> Array:
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    both_zero = ~a.any(axis=1) & ~b.any(axis=1)
    cosines = (a * b).sum(axis=1) / np.maximum(norms, 1e-30)
    return np.where(both_zero, 1.0, np.minimum(cosines, 1.0))


def _psnr(a: Array, b: Array) -> float:
    error = float(np.square(a - b).mean())
    peak = float(np.abs(a).max())
    if error == 0.0 or peak == 0.0:
        return PSNR_CEILING_DB if error == 0.0 else 0.0
    return min(PSNR_CEILING_DB, 10.0 * float(np.log10(peak**2 / error)))
