"""Every precision of every format, one row each: what a graph becomes, what that may cost, and what is milder.

Plain data, which costs neither NumPy nor onnx: requests are checked against it, `vljepa verify` takes limits from it.
A new precision is a row here and, where no method can make it yet, a file of this package.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from vljepa_evaluation.gates import EIGHT_BIT, FLOAT, FOUR_BIT, HALF, Limits
from vljepa_runtime.errors import InputError

if TYPE_CHECKING:
    import onnx

    from vljepa_quant.graph_editor import GraphEditor

__all__ = ["PRECISIONS", "Precision", "Weights", "limits_for", "precisions_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """How constant matrices are stored.

    Attributes:
        dtype: NumPy's or ml_dtypes' name of what is stored, `uint4` and `uint6` for indices into a palette; empty for
            floats as wide as the rest.
        block: Inputs that share a scale; 0 for all of an output channel.
        group: Output channels that share a palette; 0 for the whole matrix.
    """

    dtype: str = ""
    block: int = 0
    group: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """One row.

    Attributes:
        name: As given to `--precision`; different formats may mean different rows by it.
        formats: Those that offer it; empty for all.
        label: As written in a bundle's manifest; what stands before its first dash is a name.
        limits: What it may cost.
        milder: The name of what a graph takes that misses these limits; None for fp32, which has to keep its own.
        calibrated: Whether inputs of products are quantised too, in ranges that come from samples.
        execution: What an engine computes in where nothing is quantised: f32, bf16 or f16.
        method: The file of this package that quantises; empty where nothing is.
        weights: How the method stores constant matrices, where it has a choice.
        runs_on_cpu: False where ONNX Runtime has kernels for GPUs alone; the method's `edit_twin` then makes a graph
            that gives the same numbers on a CPU, by which it is measured.
    """

    name: str
    formats: tuple[str, ...]
    label: str
    limits: Limits
    milder: str | None = "fp32"
    calibrated: bool = False
    execution: str = "f32"
    method: str = ""
    weights: Weights = Weights()
    runs_on_cpu: bool = True

    def edit(self, editor: GraphEditor) -> None:
        """Turn an opened float graph into one of this precision of ONNX.

        Raises:
            QuantError: there was nothing to quantise.
        """
        if self.method:
            import_module(f"vljepa_quant.{self.method}").edit(editor)

    def edit_twin(self, editor: GraphEditor) -> None:
        """Turn an opened float graph into one that gives on a CPU what `edit`'s gives on its device."""
        import_module(f"vljepa_quant.{self.method}").edit_twin(editor)

    def apply(self, model: onnx.ModelProto) -> onnx.ModelProto:
        """`edit` for a model in memory, which stays as it is."""
        from vljepa_quant.graph_editor import GraphEditor

        if not self.method:
            return model
        editor = GraphEditor(model)
        self.edit(editor)
        return editor.finish()


_TENSORRT = ("tensorrt", "tensorrt-rtx")

PRECISIONS = (
    # Time of int8 over fp32, ONNX Runtime 1.32, two busy Zen 4 cores, `tiny`, medians of alternate runs: x_encoder
    # (256 tokens) 0.61-0.68, predictor 0.80, y_encoder 0.66, prefill 0.72, step 0.77: faster for every graph.
    Precision(name="int8", formats=("onnx",), label="int8-dynamic", limits=EIGHT_BIT, method="int8"),
    # About half of int8's size, and slower: ViT-L blocks 1.4 times as fast as fp32, int8 2.5 times (two cores).
    Precision(name="int4", formats=("onnx",), label="int4-weights", limits=FOUR_BIT, milder="int8", method="int4"),
    # For GPUs: every attention, norm and gate is one of ONNX Runtime's fused kernels (docs/devices.md has numbers).
    Precision(name="fp16", formats=("onnx",), label="fp16", limits=HALF, execution="f16", method="fused_fp16"),
    Precision(
        name="bf16", formats=("onnx",), label="bf16", limits=HALF, execution="bf16", method="fused_bf16",
        runs_on_cpu=False,
    ),
    # bfloat16 for the rest: 0-15 % faster than float32, at the same cosines.
    Precision(
        name="int8", formats=("openvino",), label="int8-static", limits=EIGHT_BIT, milder="int8-weights",
        calibrated=True, execution="bf16", method="nncf",
    ),
    # The products are in int8 all the same: OpenVINO quantises their activations as they come, in groups of 32. With
    # bfloat16 for the rest a predictor of full size was 7 dB further away and missed its gates
    # (docs/benchmarks/formats.md).
    Precision(
        name="int8-weights", formats=("openvino",), label="int8-weights", limits=EIGHT_BIT, method="nncf"
    ),
    Precision(
        name="fp16", formats=("openvino", *_TENSORRT, "coreml"), label="fp16", limits=HALF, execution="f16"
    ),
    Precision(name="bf16", formats=("openvino",), label="bf16", limits=HALF, execution="bf16"),
    Precision(
        name="int8", formats=_TENSORRT, label="int8-static", limits=EIGHT_BIT, milder="fp16",
        calibrated=True, execution="f16", method="qdq", weights=Weights(dtype="int8"),
    ),
    Precision(
        name="fp8", formats=_TENSORRT, label="fp8-static", limits=EIGHT_BIT, milder="fp16",
        calibrated=True, execution="f16", method="qdq", weights=Weights(dtype="float8_e4m3fn"),
    ),
    # A block of 64 divides every width of both presets; 4-bit weights lose most where blocks are long.
    Precision(
        name="int4", formats=_TENSORRT, label="int4-weights", limits=FOUR_BIT, milder="fp16",
        execution="f16", method="qdq", weights=Weights(dtype="int4", block=64),
    ),
    Precision(
        name="int8", formats=("coreml",), label="int8-weights", limits=EIGHT_BIT, milder="fp16",
        execution="f16", method="int8", weights=Weights(dtype="int8"),
    ),
    Precision(
        name="int8-block32", formats=("coreml",), label="int8-weights-block32", limits=EIGHT_BIT, milder="fp16",
        execution="f16", method="int8", weights=Weights(dtype="int8", block=32),
    ),
    Precision(
        name="w8a8", formats=("coreml",), label="w8a8", limits=EIGHT_BIT, milder="int8",
        calibrated=True, execution="f16", method="int8", weights=Weights(dtype="int8"),
    ),
    Precision(
        name="palette6", formats=("coreml",), label="palette6", limits=EIGHT_BIT, milder="int8",
        execution="f16", method="palette", weights=Weights(dtype="uint6", group=16),
    ),
    Precision(
        name="palette4", formats=("coreml",), label="palette4", limits=FOUR_BIT, milder="palette6",
        execution="f16", method="palette", weights=Weights(dtype="uint4", group=8),
    ),
    Precision(
        name="fp32", formats=(), label="fp32", limits=FLOAT, milder=None
    ),
)  # fmt: skip
"""In the order in which a format offers its own, its default first."""


def precisions_of(format: str) -> Mapping[str, Precision]:
    """The precisions that a format offers, by name, its default first.

    Examples:
        >>> from vljepa_quant import precisions_of
        >>> [(row.name, row.label, row.milder) for row in precisions_of("onnx").values()]
        [('int8', 'int8-dynamic', 'fp32'), ('int4', 'int4-weights', 'int8'), ..., ('fp32', 'fp32', None)]
    """
    return {row.name: row for row in PRECISIONS if not row.formats or format in row.formats}


def limits_for(label: str) -> Limits:
    """Limits of a precision as a manifest names it: `int8-dynamic` is held to those of `int8`.

    Raises:
        InputError: nobody has decided what this precision may cost.
    """
    known = {row.name: row.limits for row in PRECISIONS}
    name = label.partition("-")[0]
    if name not in known:
        raise InputError(
            f"expected a precision of this version ({', '.join(known)}), got {label!r}: update vljepa-edge"
        )
    return known[name]
