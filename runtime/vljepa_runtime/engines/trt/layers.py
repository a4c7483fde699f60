"""The layers of a built engine and the types they compute in, read from the builder's own list.

The list comes with detailed profiling and needs no GPU; an engine inspector would have to load the engine.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Layer", "parse_layers", "summary"]

_LINE = re.compile(
    r"Name: (?P<name>.*?), LayerType: (?P<kind>\w*), Inputs: (?P<inputs>.*?), Constants: (?P<constants>.*?), "
    r"Outputs: (?P<outputs>.*?), TacticName: (?P<tactic>.*?), StreamId: "
)
_TENSOR = re.compile(r"Dimensions: \[(?P<shape>[^\]]*)\].*?Datatype: (?P<kind>\w+)")
_NODE = re.compile(r"\[ONNX Layer: ([^\]]*)\]")
# The builder's names for its products: a plain GEMM, one fused with what follows (Fc), attention in one kernel.
_PRODUCT = re.compile(r"^_gemm|Fc|mha")
FLOAT = "Float"
NARROW = ("Int4", "Int8", "FP8")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One kernel of an engine.

    Attributes:
        name: The builder's.
        kind: `gemm`, `kgen` (generated), `runtime_fusion`, ...
        inputs: Type of each tensor that it reads.
        constants: Type of each constant of more than one element.
        outputs: Type of each tensor that it writes.
        nodes: The ONNX nodes that went into it.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    constants: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[str, ...]

    @property
    def is_product(self) -> bool:
        """Whether it multiplies matrices, which is where the time goes."""
        return self.kind == "gemm" or bool(_PRODUCT.search(self.name))

    @property
    def operands(self) -> str:
        """What a product multiplies: `Int8`, or `Half x Int4` where only the weight is narrow."""
        kind = self.inputs[0] if self.inputs else FLOAT
        narrow = next((weight for weight in self.constants if weight in NARROW and weight != kind), "")
        return f"{kind} x {narrow}" if narrow else kind

    @property
    def is_float32(self) -> bool:
        """Whether every floating tensor it reads or writes is float32."""
        kinds = {
            kind for kind in (*self.inputs, *self.outputs) if not kind.startswith(("Int32", "Int64", "Bool"))
        }
        return kinds == {FLOAT}


def parse_layers(text: str) -> tuple[Layer, ...]:
    """Layers of a builder's list, in the order they run; those that touch no tensor are left out."""
    found = []
    for line in text.splitlines():
        if (match := _LINE.search(line)) is None:
            continue
        inputs, outputs = (_types(match[part]) for part in ("inputs", "outputs"))
        if inputs or outputs:
            found.append(
                Layer(
                    name=match["name"],
                    kind=match["kind"],
                    inputs=inputs,
                    constants=_types(match["constants"], scalars=False),
                    outputs=outputs,
                    nodes=tuple(_NODE.findall(line)),
                )
            )
    return tuple(found)


def summary(layers: Sequence[Layer]) -> str:
    """`64 layers; products: 24 Int8, 7 Half; attention in one kernel: 6; wholly in fp32: 2`."""
    products = Counter(layer.operands for layer in layers if layer.is_product)
    parts = ", ".join(f"{count} {kind}" for kind, count in products.most_common())
    attention = sum("mha" in layer.name for layer in layers)
    floats = sum(layer.is_float32 for layer in layers)
    return f"{len(layers)} layers; products: {parts}; attention in one kernel: {attention}; wholly in fp32: {floats}"


def _types(text: str, *, scalars: bool = True) -> tuple[str, ...]:
    tensors = [(match["shape"], match["kind"]) for match in _TENSOR.finditer(text)]
    return tuple(kind for shape, kind in tensors if scalars or set(shape.split(",")) != {"1"})
