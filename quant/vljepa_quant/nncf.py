"""int8 for OpenVINO by NNCF: weights alone, or weights and activations in calibrated ranges.

Not our own int8 ONNX graphs: OpenVINO fuses none of their integer operators and runs them 2-3x slower than NNCF's
(docs/benchmarks/formats.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt

from vljepa_evaluation.gates import PSNR_FLOOR_DB, compare_outputs
from vljepa_quant.precisions import Precision
from vljepa_runtime.engines.openvino_library import import_untracked, shared_core

__all__ = ["compress"]

Array = npt.NDArray[Any]
Feeds = Mapping[str, Array]


# Exponents of the factors that even channels out before activations are quantised, as they are tried; -1 for none.
# Trained weights have channels far larger than others; random ones have not, and lose by it. PSNR in dB of X-encoder
# and predictor with 0.5 and without: 49.1 and 48.3, 44.0 and 34.5 for `tiny`; 38.8 and 43.7, 31.4 and 42.7 for 4 and 2
# layers of full size with random weights. NNCF's 0.95 left the predictor of `tiny` at a worst cosine of 0.9988, 0.5 at
# 0.9992.
SMOOTHINGS = (0.5, -1.0)
ENOUGH = (
    PSNR_FLOOR_DB + 5
)  # dB; what is nearer to the float model with the first is not tried with the second
SHOWN = 2  # samples that they are judged by, the last ones
# Biases are left as they are, so that a proof of constants can tell a wrong one. NNCF's correction moved one bias of
# `tiny`: mean cosine of the X-encoder 0.99956 with it and without, 1st percentile 0.9968 and 0.9971.


def compress(model: Any, precision: Precision, samples: Sequence[Feeds]) -> Any:
    """Quantise a float model of OpenVINO.

    Args:
        model: An `openvino.Model`, which NNCF may change.
        precision: A row of this method.
        samples: Inputs to calibrate on.
    """
    nncf = import_untracked("nncf")
    if not precision.calibrated:
        return nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_SYM)
    shown = samples[-SHOWN:]
    wanted = _outputs(model, shown)
    best, nearest = None, float("-inf")
    for smoothing in SMOOTHINGS:
        quantised = _quantised(nncf, model.clone(), smoothing, samples)
        decibels = compare_outputs(wanted, _outputs(quantised, shown)).psnr_db
        if best is None or decibels > nearest:
            best, nearest = quantised, decibels
        if nearest >= ENOUGH:
            break
    return best


def _quantised(nncf: Any, model: Any, smoothing: float, samples: Sequence[Feeds]) -> Any:
    """In ranges from the least to the largest value of all samples: NNCF's own, means over samples, cut values off.

    That cost 2.8 dB of the X-encoder of `tiny` (46.3 instead of 49.1, products of pixels included) and 2.5 of its
    predictor.
    """
    ranges = nncf.quantization.range_estimator.RangeEstimatorParametersSet
    return nncf.quantize(
        model,
        nncf.Dataset([dict(feeds) for feeds in samples]),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(samples),
        ignored_scope=nncf.IgnoredScope(names=_of_pixels(model)),
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            smooth_quant_alphas=nncf.AdvancedSmoothQuantParameters(matmul=smoothing),
            activations_range_estimator_params=ranges.MINMAX,
            disable_bias_correction=True,
        ),
    )


def _outputs(model: Any, samples: Sequence[Feeds]) -> list[list[Array]]:
    """What a model gives in float32, but for what is quantised in it."""
    request = (
        shared_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}).create_infer_request()
    )
    found = []
    for feeds in samples:
        request.infer(dict(feeds))
        found.append([tensor.data.copy() for tensor in request.output_tensors])
    return found


def _of_pixels(model: Any) -> list[str]:
    """Products of pixels: a hundredth of an X-encoder's work, and most of its error where they are in int8 too."""
    return [
        operation.get_friendly_name()
        for operation in model.get_ordered_ops()
        if operation.get_type_name() == "MatMul" and _source(operation).get_element_type().to_string() == "u8"
    ]


def _source(operation: Any) -> Any:
    """What a product multiplies, before it was converted."""
    node = operation.input_value(0).get_node()
    return node.input_value(0) if node.get_type_name() == "Convert" else operation.input_value(0)
