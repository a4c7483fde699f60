"""int8 for OpenVINO by NNCF: weights alone, or weights and activations in calibrated ranges.

Not our own int8 ONNX graphs: OpenVINO fuses none of their integer operators and runs them 2-3x slower than NNCF's
(docs/benchmarks/formats.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt

from vljepa_quant.precisions import Precision
from vljepa_runtime.engines.openvino_library import import_untracked

__all__ = ["compress"]

# Smooths activations before they are quantised. NNCF's own 0.95 left the predictor of `tiny` at a worst cosine of
# 0.9988 against 0.9992 with 0.5, the X-encoder the same.
SMOOTHING = 0.5
# Biases are left as they are, so that a proof of constants can tell a wrong one. NNCF's correction moved one bias of
# `tiny`: mean cosine of the X-encoder 0.99956 with it and without, 1st percentile 0.9968 and 0.9971.


def compress(model: Any, precision: Precision, samples: Sequence[Mapping[str, npt.NDArray[Any]]]) -> Any:
    """Quantise a float model of OpenVINO.

    Args:
        model: An `openvino.Model`, which NNCF may change.
        precision: A row of this method.
        samples: Inputs to calibrate on.
    """
    nncf = import_untracked("nncf")
    if not precision.calibrated:
        return nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_SYM)
    smoothing = nncf.AdvancedSmoothQuantParameters(matmul=SMOOTHING)
    return nncf.quantize(
        model,
        nncf.Dataset([dict(feeds) for feeds in samples]),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(samples),
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            smooth_quant_alphas=smoothing, disable_bias_correction=True
        ),
    )
