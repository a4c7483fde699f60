"""A rule per ONNX operator: the shapes of its outputs from those of its inputs. What is not here is not loaded."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from vljepa_runtime.graphs.onnx_file import BITS, Constant, Node
from vljepa_runtime.graphs.onnx_fused import FUSED, FUSED_NORM, MICROSOFT
from vljepa_runtime.graphs.onnx_known import Inputs, Mismatch, Rule, Shape, shape_at

__all__ = ["MAX_NUMBER", "OPERATORS", "constant_value", "slices"]

MAX_NUMBER = 1 << 31  # of what is computed with on the way to a size: sums and products stay within 64 bits
MAX_END = 1 << 62  # of a range: the difference of two stays within 64 bits


def _axis(axis: int, rank: int) -> int:
    if not -rank <= axis < max(rank, 1):
        raise ValueError(f"axis {axis} of {rank}")
    return axis % rank if rank else 0


def _list(node: Node, inputs: Inputs, place: int, name: str) -> list[int] | None:
    """Whole numbers that are an input in newer opsets and an attribute in older ones."""
    if len(inputs) > place and (given := inputs[place]) is not None:
        if given.values is None:
            raise ValueError("a size depends on values")
        return [int(value) for value in given.values.reshape(-1)]
    found = node.attributes.get(name)
    return [found] if isinstance(found, int) else found


def _numbers(node: Node, inputs: Inputs, place: int, name: str = "") -> list[int]:
    found = _list(node, inputs, place, name)
    if found is None:
        raise ValueError("a size is missing")
    return found


def _first(node: Node, inputs: Inputs) -> list[Shape]:
    return [shape_at(inputs, 0)]


def _cast(node: Node, inputs: Inputs) -> list[Shape]:
    """To numbers: a text takes tens of bytes a value, and must be read again."""
    if node.attributes["to"] not in BITS:
        raise ValueError("it casts to what is no number")
    return _first(node, inputs)


def _broadcast(node: Node, inputs: Inputs) -> list[Shape]:
    return [_together(*(item.shape for item in inputs if item is not None))]


def _triangle(node: Node, inputs: Inputs) -> list[Shape]:
    if any(abs(place) > MAX_NUMBER for place in _list(node, inputs, 1, "") or ()):
        raise ValueError("its diagonal is too far off")
    return _first(node, inputs)


def _divide(node: Node, inputs: Inputs) -> list[Shape]:
    """Whole numbers are divided only where they are known: by 0, or the least of them by -1, ends the process."""
    by = inputs[1]
    if by is not None and by.whole and (by.values is None or np.isin(by.values, (0, -1)).any()):
        raise ValueError("it divides whole numbers by what is not known, by 0 or by -1")
    return _broadcast(node, inputs)


def _together(*shapes: Shape) -> Shape:
    """NumPy's rule, without making arrays."""
    rank = max(map(len, shapes))
    result = []
    for sizes in zip(*((1,) * (rank - len(shape)) + shape for shape in shapes)):
        wide = {size for size in sizes if size != 1}
        if len(wide) > 1:
            raise Mismatch("they do not broadcast")
        result.append(wide.pop() if wide else 1)
    return tuple(result)


def _matmul(node: Node, inputs: Inputs) -> list[Shape]:
    a, b = shape_at(inputs, 0), shape_at(inputs, 1)
    left, right = (1, *a) if len(a) == 1 else a, (*b, 1) if len(b) == 1 else b
    if left[-1] != right[-2]:
        raise Mismatch("rows and columns differ")
    batch = _together(left[:-2], right[:-2]) if len(left) > 2 or len(right) > 2 else ()
    return [(*batch, *((left[-2],) if len(a) > 1 else ()), *((right[-1],) if len(b) > 1 else ()))]


def _gemm(node: Node, inputs: Inputs) -> list[Shape]:
    (m, k), (rows, n) = (shape_at(inputs, place) for place in (0, 1))
    m, k = (k, m) if node.attributes.get("transA") else (m, k)
    rows, n = (n, rows) if node.attributes.get("transB") else (rows, n)
    if k != rows:
        raise Mismatch("rows and columns differ")
    return [(m, n)]


def _matmul_bits(node: Node, inputs: Inputs) -> list[Shape]:
    """Its sizes are held against its attributes here: older libraries read past the end of what is smaller."""
    (*rows, width), packed, scales = (shape_at(inputs, place) for place in (0, 1, 2))
    n, k, bits, block = (node.attributes[name] for name in ("N", "K", "bits", "block_size"))
    if bits not in (2, 4, 8) or block not in (16, 32, 64, 128, 256) or width != k:
        raise ValueError(f"{bits} bits in blocks of {block} for {k} of {width} columns")
    blocks = -(-k // block)
    points = {(n * -(-blocks * bits // 8),), (n, -(-blocks * bits // 8)), (n * blocks,), (n, blocks)}
    if packed != (n, blocks, block * bits // 8) or scales not in {(n * blocks,), (n, blocks)}:
        raise ValueError("its weights and scales are not of its sizes")
    if len(inputs) > 4 or (len(inputs) == 4 and inputs[3] is not None and inputs[3].shape not in points):
        raise ValueError("its zero points are not of its sizes")
    return [(*rows, n)]


def _shape(node: Node, inputs: Inputs) -> list[Shape]:
    return [(len(_shape_values(node, inputs)),)]


def _shape_values(node: Node, inputs: Inputs) -> Shape:
    return shape_at(inputs, 0)[node.attributes.get("start", 0) : node.attributes.get("end")]


def _gather(node: Node, inputs: Inputs) -> list[Shape]:
    shape, places = (shape_at(inputs, place) for place in (0, 1))
    axis = _axis(node.attributes.get("axis", 0), len(shape))
    return [shape[:axis] + places + shape[axis + 1 :]]


def slices(node: Node, inputs: Inputs) -> tuple[slice, ...]:
    shape = shape_at(inputs, 0)
    starts, ends = _numbers(node, inputs, 1, "starts"), _numbers(node, inputs, 2, "ends")
    axes = _list(node, inputs, 3, "axes") or list(range(len(starts)))
    steps = _list(node, inputs, 4, "") or [1] * len(starts)
    result = [slice(None)] * len(shape)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        size = shape[_axis(axis, len(shape))]
        stop = None if step < 0 and end <= -size - 1 else end
        # Backwards, ONNX begins at the first value where Python finds none.
        begin = max(start, -size) if step < 0 else start
        result[_axis(axis, len(shape))] = slice(begin, stop, step)
    return tuple(result)


def _slice(node: Node, inputs: Inputs) -> list[Shape]:
    cuts = slices(node, inputs)
    return [tuple(len(range(*cut.indices(size))) for cut, size in zip(cuts, shape_at(inputs, 0)))]


def _concat(node: Node, inputs: Inputs) -> list[Shape]:
    shapes = [shape_at(inputs, place) for place in range(len(inputs))]
    axis = _axis(node.attributes["axis"], len(shapes[0]))
    if len({shape[:axis] + shape[axis + 1 :] for shape in shapes}) != 1:
        raise Mismatch("they differ in more than one axis")
    return [(*shapes[0][:axis], sum(shape[axis] for shape in shapes), *shapes[0][axis + 1 :])]


def _split(node: Node, inputs: Inputs) -> list[Shape]:
    shape, count = shape_at(inputs, 0), len(node.outputs)
    axis = _axis(node.attributes.get("axis", 0), len(shape))
    sizes = _list(node, inputs, 1, "split")
    if sizes is None:
        each = -(-shape[axis] // count)
        sizes = [each] * (count - 1) + [shape[axis] - each * (count - 1)]
    if sum(sizes) != shape[axis]:
        raise Mismatch("the parts are not the whole")
    return [(*shape[:axis], size, *shape[axis + 1 :]) for size in sizes]


def _reshape(node: Node, inputs: Inputs) -> list[Shape]:
    shape, wanted = shape_at(inputs, 0), _numbers(node, inputs, 1, "shape")
    keeps = not node.attributes.get("allowzero")
    sizes = [shape[place] if size == 0 and keeps else size for place, size in enumerate(wanted)]
    count = math.prod(shape)
    if sizes.count(-1) == 1:
        sizes[sizes.index(-1)] = count // max(1, -math.prod(sizes))
    if math.prod(sizes) != count:
        raise Mismatch(f"{count} values do not fit {wanted[:9]}")
    return [tuple(sizes)]


def _flatten(node: Node, inputs: Inputs) -> list[Shape]:
    shape, axis = shape_at(inputs, 0), node.attributes.get("axis", 1)
    return [(math.prod(shape[:axis]), math.prod(shape[axis:]))]


def _transpose(node: Node, inputs: Inputs) -> list[Shape]:
    shape = shape_at(inputs, 0)
    order = node.attributes.get("perm") or range(len(shape))[::-1]
    if sorted(order) != list(range(len(shape))):
        raise ValueError("the order leaves axes out")
    return [tuple(shape[axis] for axis in order)]


def _squeeze(node: Node, inputs: Inputs) -> list[Shape]:
    shape, axes = shape_at(inputs, 0), _list(node, inputs, 1, "axes")
    gone = (
        {_axis(axis, len(shape)) for axis in axes}
        if axes
        else {i for i, size in enumerate(shape) if size == 1}
    )
    return [tuple(size for place, size in enumerate(shape) if place not in gone)]


def _unsqueeze(node: Node, inputs: Inputs) -> list[Shape]:
    axes = _numbers(node, inputs, 1, "axes")
    left = list(shape_at(inputs, 0))
    rank = len(left) + len(axes)
    places = {_axis(axis, rank) for axis in axes}
    return [tuple(1 if place in places else left.pop(0) for place in range(rank))]


def _expand(node: Node, inputs: Inputs) -> list[Shape]:
    return [_together(shape_at(inputs, 0), tuple(_numbers(node, inputs, 1)))]


def _tile(node: Node, inputs: Inputs) -> list[Shape]:
    shape, times = shape_at(inputs, 0), _numbers(node, inputs, 1)
    return [tuple(size * count for size, count in zip(shape, times, strict=True))]


def _filled(node: Node, inputs: Inputs) -> list[Shape]:
    return [tuple(_numbers(node, inputs, 0))]


def _range(node: Node, inputs: Inputs) -> list[Shape]:
    ends = [item.values for item in inputs if item is not None and item.values is not None]
    if len(ends) != 3:
        raise ValueError("its length depends on values")
    start, limit, step = (values.reshape(-1)[0].item() for values in ends)
    if not all(abs(end) <= MAX_END for end in (start, limit, step)):
        raise ValueError("its ends are so far apart that an engine's difference may turn its sign")
    return [(max(0, math.ceil((limit - start) / step)),)]


def _pad(node: Node, inputs: Inputs) -> list[Shape]:
    shape, pads = shape_at(inputs, 0), _numbers(node, inputs, 1, "pads")
    axes = _list(node, inputs, 3, "") or list(range(len(shape)))
    if node.attributes.get("mode", b"constant") != b"constant":
        raise ValueError("it pads with other values than one")
    result = list(shape)
    for place, axis in enumerate(axes):
        result[_axis(axis, len(shape))] += pads[place] + pads[place + len(axes)]
    return [tuple(result)]


def _reduce(node: Node, inputs: Inputs) -> list[Shape]:
    shape, axes = shape_at(inputs, 0), _list(node, inputs, 1, "axes")
    if not axes:
        axes = [] if node.attributes.get("noop_with_empty_axes") else list(range(len(shape)))
    gone = {_axis(axis, len(shape)) for axis in axes}
    if node.attributes.get("keepdims", 1):
        return [tuple(1 if place in gone else size for place, size in enumerate(shape))]
    return [tuple(size for place, size in enumerate(shape) if place not in gone)]


def _arg(node: Node, inputs: Inputs) -> list[Shape]:
    axes = Node(
        attributes={"axes": [node.attributes.get("axis", 0)], "keepdims": node.attributes.get("keepdims", 1)}
    )
    return _reduce(axes, inputs[:1])


def _constant(node: Node, inputs: Inputs) -> list[Shape]:
    value = constant_value(node)
    return [value.shape]


def constant_value(node: Node) -> Constant:
    ((name, value),) = node.attributes.items()
    if isinstance(value, Constant):
        return value
    if name not in ("value_int", "value_ints", "value_float"):
        raise ValueError(f"a constant by {name[:40]}")
    values = np.asarray(value, np.float32 if name == "value_float" else np.int64)
    return Constant(values.shape, values, name != "value_float")


def _quantised(node: Node, inputs: Inputs) -> list[Shape]:
    return [shape_at(inputs, 0), (), ()]


def _table(rule: Rule, kinds: str, domain: str = "") -> dict[tuple[str, str], Rule]:
    return {(domain, kind): rule for kind in kinds.split()}


# What the exporters write, and what other operators of the same kind cost nothing to allow.
OPERATORS: Mapping[tuple[str, str], Rule] = {
    **_table(
        _first,
        "Abs Ceil Clip Cos CumSum DequantizeLinear Erf Exp Floor Gelu HardSigmoid HardSwish Identity IsNaN "
        "LayerNormalization LeakyRelu Log LogSoftmax LpNormalization Mish Neg Not QuantizeLinear RMSNormalization "
        "Reciprocal Relu Round Sigmoid Sign Sin Softmax Softplus Sqrt Swish Tan Tanh",
    ),
    **_table(_cast, "Cast"),
    **_table(_triangle, "Trilu"),
    **_table(_divide, "Div"),
    **_table(
        _broadcast,
        "Add And Equal Greater GreaterOrEqual Less LessOrEqual Max Min Mul Or Pow Sub Sum Where Xor",
    ),
    **_table(
        _reduce, "ReduceL1 ReduceL2 ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare"
    ),
    **_table(_arg, "ArgMax ArgMin"),
    **_table(_matmul, "MatMul MatMulInteger"),
    **_table(_gemm, "Gemm"),
    **_table(_shape, "Shape"),
    **_table(_gather, "Gather"),
    **_table(_slice, "Slice"),
    **_table(_concat, "Concat"),
    **_table(_split, "Split"),
    **_table(_reshape, "Reshape"),
    **_table(_flatten, "Flatten"),
    **_table(_transpose, "Transpose"),
    **_table(_squeeze, "Squeeze"),
    **_table(_unsqueeze, "Unsqueeze"),
    **_table(_expand, "Expand"),
    **_table(_tile, "Tile"),
    **_table(_filled, "ConstantOfShape"),
    **_table(_range, "Range"),
    **_table(_pad, "Pad"),
    **_table(_constant, "Constant"),
    **_table(_quantised, "DynamicQuantizeLinear"),
    **_table(_matmul_bits, "MatMulNBits", MICROSOFT),
    **{(MICROSOFT, kind): rule for kind, rule in FUSED.items()},
    ("", "SimplifiedLayerNormalization"): FUSED_NORM,
}
