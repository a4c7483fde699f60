"""OpenVINO IR: float, half or bfloat16, weights alone in int8, or weights and activations by NNCF's calibration."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from vljepa_export.errors import ExportError
from vljepa_export.targets.protocol import Array, Converted, Feeds, Runner, TracedGraph, graph_spec
from vljepa_quant import Precision, precisions_of
from vljepa_quant.nncf import compress
from vljepa_runtime.contract import STEP
from vljepa_runtime.engines.openvino_library import import_untracked, shared_core

__all__ = ["convert"]

# These graphs read every weight for a single token, so their time is that of reading; calibrated activations only cost
# accuracy there (worst cosine 0.978 on `tiny`, against 0.999 with int8 weights alone).
WEIGHTS_ONLY = (STEP,)
NEEDS = {"bf16": "BF16", "f16": "FP16"}  # what a CPU must offer to compute in a type; every CPU has f32


def convert(
    traced: TracedGraph,
    precision: Precision,
    *,
    samples: Sequence[Feeds],
    budgets: tuple[int, ...] = (),
    folder: Path,
) -> Converted:
    """See `Target`; N stays free, and this machine's CPU computes as the runtime would."""
    name = traced.contract.name
    if precision.calibrated and name in WEIGHTS_ONLY:
        precision = precisions_of("openvino")["int8-weights"]
    openvino = import_untracked("openvino")
    file = folder / f"{name}.xml"
    with _quiet(), _told(name):
        core = shared_core()
        model = core.read_model(traced.path)
        if precision.method:
            model = compress(model, precision, samples)
        openvino.save_model(model, file, compress_to_fp16=precision.name != "fp32")
        nodes = len(model.get_ops())
        able = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    execution = precision.execution
    here = execution if NEEDS.get(execution) in able else "f32"
    checked = f"computes in {execution} where the device can; checked here in {here}"
    weights = file.with_suffix(".bin")
    return Converted(
        spec=graph_spec(traced.contract, file.name, external=(weights.name,)),
        files={file.name: file, weights.name: weights},
        open=partial(_runner, name, file, here),
        notes=() if here == execution else (checked,),
        precision=precision,
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
