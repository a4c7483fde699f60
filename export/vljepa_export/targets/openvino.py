"""OpenVINO IR: float, half or bfloat16, weights alone in int8, or weights and activations by NNCF's calibration.

Int8 comes from NNCF, not from our own int8 ONNX graphs: OpenVINO fuses none of their integer operators and runs
them 2-3x slower than NNCF's (docs/benchmarks/formats.md).
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from vljepa_export.errors import ExportError
from vljepa_export.targets.protocol import Array, Converted, Feeds, Runner, TracedGraph, graph_spec
from vljepa_runtime.contract import STEP
from vljepa_runtime.engines.openvino import import_untracked, shared_core

__all__ = ["PRECISIONS", "convert"]

# Smooths activations before they are quantised. NNCF's own 0.95 left the predictor of `tiny` at a worst cosine of
# 0.9988 against 0.9992 with 0.5, the X-encoder the same.
SMOOTHING = 0.5
# These graphs read every weight for a single token, so their time is that of reading; calibrated activations only cost
# accuracy there (worst cosine 0.978 on `tiny`, against 0.999 with int8 weights alone).
WEIGHTS_ONLY = (STEP,)
NEEDS = {"bf16": "BF16", "f16": "FP16"}  # what a CPU must offer to compute in a type; every CPU has f32
Compress = Callable[[Any, Sequence[Feeds]], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Precision:
    """How one precision is made.

    Attributes:
        label: For the manifest.
        execution: What the engine computes in where nothing is quantised.
        half: Store what stays float as float16.
        compress: Float model and samples in, quantised model out; None leaves it.
    """

    label: str
    execution: str
    half: bool = False
    compress: Compress | None = None


def _calibrated(model: Any, samples: Sequence[Feeds]) -> Any:
    nncf = import_untracked("nncf")
    smoothing = nncf.AdvancedSmoothQuantParameters(matmul=SMOOTHING)
    return nncf.quantize(
        model,
        nncf.Dataset([dict(feeds) for feeds in samples]),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(samples),
        advanced_parameters=nncf.AdvancedQuantizationParameters(smooth_quant_alphas=smoothing),
    )


def _weights_only(model: Any, samples: Sequence[Feeds]) -> Any:
    nncf = import_untracked("nncf")
    return nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_SYM)


PRECISIONS: Mapping[str, _Precision] = {
    "fp32": _Precision(label="fp32", execution="f32"),
    "fp16": _Precision(label="fp16", execution="f16", half=True),
    "bf16": _Precision(label="bf16", execution="bf16", half=True),
    # bfloat16 for the rest: 0-15 % faster than float32, at the same cosines.
    "int8": _Precision(label="int8-static", execution="bf16", half=True, compress=_calibrated),
    # The products are in int8 all the same: OpenVINO quantises their activations as they come, in groups of 32. With
    # bfloat16 for the rest a predictor of full size was 7 dB further away and missed its gates
    # (docs/benchmarks/formats.md).
    "int8-weights": _Precision(label="int8-weights", execution="f32", half=True, compress=_weights_only),
}


def convert(
    traced: TracedGraph,
    precision: str,
    *,
    samples: Sequence[Feeds],
    budgets: tuple[int, ...] = (),
    folder: Path,
) -> Converted:
    """See `Target`; N stays free, and this machine's CPU computes as the runtime would."""
    name = traced.contract.name
    weights_only = precision == "int8" and name in WEIGHTS_ONLY
    chosen = PRECISIONS["int8-weights" if weights_only else precision]
    openvino = import_untracked("openvino")
    file = folder / f"{name}.xml"
    with _quiet(), _told(name):
        core = shared_core()
        model = core.read_model(traced.path)
        if chosen.compress is not None:
            model = chosen.compress(model, samples)
        openvino.save_model(model, file, compress_to_fp16=chosen.half)
        nodes = len(model.get_ops())
        able = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    here = chosen.execution if NEEDS.get(chosen.execution) in able else "f32"
    checked = f"computes in {chosen.execution} where the device can; checked here in {here}"
    weights = file.with_suffix(".bin")
    return Converted(
        spec=graph_spec(traced.contract, file.name, external=(weights.name,)),
        files={file.name: file, weights.name: weights},
        open=partial(_runner, name, file, here),
        notes=() if here == chosen.execution else (checked,),
        label=chosen.label,
        execution=chosen.execution,
        nodes=nodes,
    )


def _runner(name: str, file: Path, execution: str) -> Runner:
    options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": execution}
    with _quiet(), _told(name):
        core = shared_core()
        core.set_property({"ENABLE_MMAP": False})  # the file may go before the runner does
        model = core.read_model(file)
        request = core.compile_model(model, "CPU", options).create_infer_request()

    def run(feeds: Feeds) -> Sequence[Array]:
        request.infer(dict(feeds))
        return [request.get_output_tensor(index).data.copy() for index in range(len(model.outputs))]

    return run


@contextlib.contextmanager
def _told(graph: str) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        raise ExportError(f"{graph}: OpenVINO refuses the graph: {' '.join(lines)[:300]}") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without NNCF's progress bars and remarks."""
    logger = logging.getLogger("nncf")
    before, logger.disabled = logger.disabled, True
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.disabled = before
