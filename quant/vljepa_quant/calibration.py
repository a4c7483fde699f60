"""One step size per activation, from real inputs: the clipping point that costs least, not the largest value seen.

A rare outlier would otherwise set the step of every value. The cost of a clipping point is the mean squared error that
rounding below it and clipping above it make together, taken from a histogram of magnitudes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from vljepa_quant.errors import QuantError
from vljepa_quant.graph_editor import save_bytes
from vljepa_quant.qdq import LARGEST

__all__ = ["Magnitudes", "calibrate"]

Array = npt.NDArray[Any]
Feeds = Mapping[str, Array]

# An activation that int8 would turn to 0 in more than this share of its values stays in float. On `tiny`: 1-4 %
# after a norm, 10-13 % after Gelu, 38-93 % of what SwiGLU hands to the down projection, whose few huge values set
# the step. Keeping those raised the worst cosine of y_decoder_step from 0.93 to 0.9996, of the predictor from
# 0.9989 to 0.99998.
VANISHING = 0.25
BINS = 4096
CANDIDATES = 200
AT_ONCE = 16  # activations kept in one run: ViT-L's widest takes 32 MiB


@dataclass
class Magnitudes:
    """Histogram of |x| whose range doubles whenever a larger value comes, so that one pass is enough."""

    top: float = 0.0
    counts: npt.NDArray[np.float64] | None = None

    def add(self, values: Array) -> None:
        """Count the magnitudes of an array of any shape."""
        magnitudes = np.abs(values.astype(np.float32, copy=False)).ravel()
        largest = float(magnitudes.max(initial=0.0))
        if not np.isfinite(largest):
            raise QuantError("expected finite activations, got NaN or infinity: check the calibration inputs")
        if self.counts is None:
            self.top, self.counts = largest or 1.0, np.zeros(BINS)
        while largest > self.top:
            self.counts = np.concatenate((self.counts.reshape(-1, 2).sum(axis=1), np.zeros(BINS // 2)))
            self.top *= 2
        self.counts += np.histogram(magnitudes, bins=BINS, range=(0.0, self.top))[0]

    def clipping_point(self, levels: float) -> float:
        """The magnitude to clip at when `levels` steps lie between it and 0."""
        if self.counts is None:
            raise QuantError("expected at least one calibration input, got none")
        centres = (np.arange(BINS) + 0.5) * (self.top / BINS)
        seen = self.top * (np.flatnonzero(self.counts).max(initial=0) + 1) / BINS
        points = seen * np.arange(1, CANDIDATES + 1) / CANDIDATES
        clipped = np.maximum(centres - points[:, None], 0.0)
        rounding = np.where(centres < points[:, None], (points[:, None] / levels) ** 2 / 12, 0.0)
        return float(points[np.argmin((clipped**2 + rounding) @ self.counts)])

    def share_below(self, magnitude: float) -> float:
        """Share of the values whose magnitude is smaller."""
        if self.counts is None:
            return 0.0
        edges = np.linspace(0.0, self.top, BINS + 1)
        return float(np.interp(magnitude, edges, np.append(0.0, self.counts.cumsum())) / self.counts.sum())


def calibrate(
    model: onnx.ModelProto | Path, tensors: Sequence[str], samples: Sequence[Feeds], dtype: str
) -> dict[str, float]:
    """Measure activations in ONNX Runtime and choose a step for each.

    Args:
        model: The float32 graph, or its file with the weights beside it.
        tensors: Names of the activations.
        samples: Inputs as the graph will see them.
        dtype: What they will be stored as. A float keeps its largest value: its steps shrink towards 0 anyway.

    Returns:
        Step per tensor; without those that would lose too many values (see `VANISHING`).

    Raises:
        QuantError: there are no samples, or an activation is not finite.

    Examples:
        >>> import numpy as np
        >>> from onnx import parser
        >>> from vljepa_quant import calibrate
        >>> model = parser.parse_model('''
        ...     <ir_version: 10, opset_import: ["": 18]> double (float[8] x) => (float[8] y) { y = Add(x, x) }
        ... ''')
        >>> samples = [{"x": np.linspace(-1, 1, 8, dtype=np.float32)}]
        >>> {name: round(step * 127, 1) for name, step in calibrate(model, ["x", "y"], samples, "int8").items()}
        {'x': 1.0, 'y': 2.0}
    """
    if not samples:
        raise QuantError("expected at least one calibration input, got none")
    found = {name: Magnitudes() for name in tensors}
    light = onnx.load(model, load_external_data=False) if isinstance(model, Path) else model
    given = {item.name for item in light.graph.input}
    inner = [name for name in tensors if name not in given]
    for feeds in samples:
        for name in given & set(tensors):
            found[name].add(feeds[name])
    for start in range(0, len(inner), AT_ONCE):
        names = inner[start : start + AT_ONCE]
        session = _session(light, names, model.parent if isinstance(model, Path) else None)
        for feeds in samples:
            for name, values in zip(names, session.run(names, dict(feeds))):
                found[name].add(np.asarray(values))
    largest = LARGEST[dtype]
    if dtype.startswith("float"):
        return {name: seen.top / largest for name, seen in found.items()}
    steps = {name: seen.clipping_point(largest) / largest for name, seen in found.items()}
    return {name: step for name, step in steps.items() if found[name].share_below(step / 2) <= VANISHING}


def _session(model: onnx.ModelProto, names: Sequence[str], folder: Path | None) -> Any:
    """A session that also gives the tensors `names`; weights that lie outside the model lie in `folder`."""
    import onnxruntime

    probed = onnx.ModelProto()
    probed.CopyFrom(model)
    present = {item.name for item in probed.graph.output}
    probed.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in present)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    providers = ["CPUExecutionProvider"]
    if folder is None:
        return onnxruntime.InferenceSession(save_bytes(probed), options, providers=providers)
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".onnx") as file:
        file.write(save_bytes(probed))
        file.flush()
        return onnxruntime.InferenceSession(file.name, options, providers=providers)
