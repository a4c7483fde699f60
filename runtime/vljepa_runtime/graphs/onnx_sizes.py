"""How much an ONNX graph computes and holds, worked out from sizes alone before an engine does any of it.

An engine computes what depends on constants alone while it loads a graph: a few hundred bytes may ask for gigabytes or
hours then. So the sizes of all tensors are worked out here first, at the sizes that the bundle is made for. This needs
one rule per operator, so an operator without a rule is refused: a strict subset that real models use, and no race.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from vljepa_runtime.graphs.onnx_file import MAX_FOLDED, MAX_RANK, Node, OnnxGraph
from vljepa_runtime.graphs.onnx_fused import largest
from vljepa_runtime.graphs.onnx_known import Inputs, Known, Mismatch, Shape
from vljepa_runtime.graphs.onnx_operators import OPERATORS
from vljepa_runtime.graphs.onnx_types import whole_outputs
from vljepa_runtime.graphs.onnx_values import VALUES
from vljepa_runtime.graphs.wire import Damaged

__all__ = ["Unfit", "check_sizes"]

_LARGEST = 1 << 40  # more than any of these limits: no product of sizes is worked out beyond it

_SUMS = {"MatMul", "MatMulInteger", "Gemm", "MatMulNBits"}


class Unfit(Damaged):
    """An operator cannot take the sizes that reach it, in any engine."""


def check_sizes(
    graph: OnnxGraph, feeds: Mapping[str, Shape], *, limit: int, whole: Collection[str] = ()
) -> None:
    """Walk a graph at one choice of sizes.

    Args:
        graph: What `read_onnx` gave.
        feeds: Shape per input.
        whole: Inputs that hold whole numbers.
        limit: Most values alive at once, and most that are computed from constants.

    Raises:
        Damaged: an operator has no rule, or there is more than the limit.
        Unfit: sizes do not follow from these feeds.
    """
    known = {name: Known(item.shape, item.values, True, item.whole) for name, item in graph.constants.items()}
    if set(feeds) != set(graph.inputs) or set(known) & set(feeds):
        raise Damaged(f"expected inputs {', '.join(feeds)}, the file has {', '.join(graph.inputs)[:500]}")
    known |= {name: Known(shape, whole=name in whole) for name, shape in feeds.items()}
    given = set(known)
    last = {name: place for place, node in enumerate(graph.nodes) for name in node.inputs}
    ends: dict[int, list[str]] = {}
    for name, place in last.items():
        ends.setdefault(place, []).append(name)
    alive, computed = 0, 0
    for place, node in enumerate(graph.nodes):
        inputs = [known[name] if name in known else _missing(name) for name in node.inputs]
        outputs = {name: item for name, item in zip(node.outputs, _outputs(node, inputs)) if name}
        if twice := known.keys() & outputs.keys():
            raise Damaged(f"it computes {min(twice)[:80]!r} twice")
        known |= outputs
        made = sum(map(_size, outputs.values()))
        alive += made
        computed += _work(node, inputs, made) if all(output.fixed for output in outputs.values()) else 0
        if alive > limit or computed > limit:
            raise Damaged(
                f"{node.kind} takes it to {max(alive, computed):.3g} values"
                f"{' of constants' if computed > limit else ''}, expected at most {limit:.3g} for its size"
            )
        alive -= sum(_size(known[name]) for name in ends.get(place, ()) if name and name not in given)


def _missing(name: str) -> Known | None:
    if name:
        raise Damaged(f"{name[:80]!r} is used before anything computes it")
    return None


def _size(item: Known | None) -> int:
    return math.prod(item.shape) if item else 0


def _work(node: Node, inputs: Inputs, made: int) -> int:
    """Steps of an operation: what it reads and gives, or the length of the sums behind each value that it gives."""
    if node.kind in _SUMS and inputs and inputs[0]:
        return made * max(1, max(inputs[0].shape, default=1))
    return made + sum(map(_size, inputs)) + 1


def _outputs(node: Node, inputs: Inputs) -> list[Known]:
    operator = (node.domain if node.domain != "ai.onnx" else "", node.kind)
    if operator not in OPERATORS:
        name = f"{node.domain}.{node.kind}" if operator[0] else node.kind
        raise Damaged(f"it uses the operator {name[:80]}, which no exporter of ours writes")
    fixed = all(item is None or item.fixed for item in inputs)
    try:
        shapes = OPERATORS[operator](node, inputs)
        if len(shapes) < len(node.outputs) or not node.outputs:
            raise ValueError("it has other outputs")
        kinds = whole_outputs(node, [item is not None and item.whole for item in inputs])
        found = [Known(_checked(shape), None, fixed, kind) for shape, kind in zip(shapes, kinds, strict=True)]
        found[0] = replace(found[0], most=largest(node, inputs, found[0].shape))
        if node.kind in VALUES and _size(found[0]) <= MAX_FOLDED:
            found[0] = replace(found[0], values=VALUES[node.kind](node, inputs, found[0].shape))
    except (
        ValueError,
        IndexError,
        TypeError,
        AttributeError,
        OverflowError,
        ZeroDivisionError,
        KeyError,
    ) as error:
        given = ", ".join(str(item.shape) if item else "none" for item in inputs)
        kind = Unfit if isinstance(error, Mismatch) else Damaged
        raise kind(f"the sizes of {node.kind} ({given[:200]}) do not follow ({error})"[:400]) from error
    return found


def _checked(shape: Sequence[int]) -> Shape:
    made = tuple(int(size) for size in shape)
    if len(made) > MAX_RANK or min(made, default=0) < 0 or math.prod(made) > _LARGEST:
        raise Damaged(f"a tensor has the shape {made[:9]}")
    return made
