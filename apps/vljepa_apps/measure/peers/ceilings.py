"""How fast this machine multiplies matrices: each type with every library that is here, taking turns.

python -m vljepa_apps.measure.peers.ceilings [cuda]    prints a JSON line a library and type
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from vljepa_apps.measure.latency import alternate
from vljepa_apps.measure.machine import installed
from vljepa_runtime.engines.openvino_library import import_untracked, shared_core

__all__ = ["SIZES", "Ceiling", "measure_ceilings"]

SIZES = {"cpu": ((2048, 2048, 2048), (2048, 1024, 4096)), "cuda": ((8192, 8192, 8192),)}
"""Rows, columns and the length of the sums, by device; the second of a CPU is a layer of ViT-L over 2,048 tokens."""
PROBE, PROBE_ROUNDS = {"cpu": (512, 512, 512), "cuda": (2048, 2048, 2048)}, 2
SLOWEST_S = 2.0
"""A product that would take longer keeps the rate of the probe: a CPU without bfloat16 needs a minute for one."""
ROUNDS, WARMUP = 8, 2
Product = Callable[[], object]
Size = tuple[int, int, int]
Library = tuple[str, str]  # of a type


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """The most that a library reached.

    Attributes:
        kind: Type of what is multiplied.
        library: What multiplied it.
        gops: 10^9 operations a second, the median over rounds, of the size that it is best at.
        device: `cpu` or `cuda`.
    """

    kind: str
    library: str
    gops: float
    device: str = "cpu"


def measure_ceilings(device: str = "cpu") -> list[Ceiling]:
    """Every type with every library; what a library cannot do is left out."""
    found = _rates(device, PROBE[device], rounds=PROBE_ROUNDS)
    for size in SIZES[device]:
        bearable = {each for each, gops in found.items() if _giga_operations(size) <= gops * SLOWEST_S}
        for each, gops in _rates(device, size, rounds=ROUNDS, only=bearable).items():
            found[each] = max(gops, found[each])
    return [
        Ceiling(kind=kind, library=library, gops=gops, device=device)
        for (kind, library), gops in found.items()
    ]


def _rates(
    device: str, size: Size, *, rounds: int, only: Collection[Library] | None = None
) -> dict[Library, float]:
    """10^9 operations a second by type and library; those that fail are left out."""
    cells = {
        "|".join(each): {"product": call}
        for *each, call in (_on_cuda(size) if device == "cuda" else _on_cpu(size))
        if only is None or tuple(each) in only
    }
    rates = {}
    for name, latency in alternate(cells, rounds=rounds, warmup=WARMUP).items():
        if not latency["product"].error:
            kind, _, library = name.partition("|")
            rates[kind, library] = 1e3 * _giga_operations(size) / latency["product"].p50_ms
    return rates


def _giga_operations(size: Size) -> float:
    """A multiplication and an addition are two."""
    return 2e-9 * size[0] * size[1] * size[2]


def _on_cpu(size: Size) -> Iterator[tuple[str, str, Product]]:
    """Type, library and one product of each that is installed."""
    m, n, k = size
    random = np.random.default_rng(0)
    a = random.standard_normal((m, k)).astype(np.float32)
    b = random.standard_normal((k, n)).astype(np.float32)
    yield "fp32", f"NumPy {np.__version__}", lambda: a @ b
    if installed("torch"):
        yield from _torch(a, b)
    if installed("onnx"):
        yield from _onnxruntime(a, b)
    if installed("openvino"):
        yield from _openvino(a, b)


def _torch(a: Any, b: Any) -> Iterator[tuple[str, str, Product]]:
    import torch

    name = f"torch {torch.__version__.split('+')[0]}"
    for kind, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        x, w = torch.from_numpy(a).to(dtype), torch.from_numpy(b).to(dtype)
        yield kind, name, partial(torch.mm, x, w)
    x8, w8 = torch.from_numpy(_int8(a, np.int8)), torch.from_numpy(_int8(b, np.int8))
    yield "int8", name, lambda: torch._int_mm(x8, w8)


def _onnxruntime(a: Any, b: Any) -> Iterator[tuple[str, str, Product]]:
    import onnx
    import onnxruntime

    name = f"ONNX Runtime {onnxruntime.__version__}"
    for kind, operator, types in (
        ("fp32", "MatMul", ("float", "float", "float")),
        ("int8", "MatMulInteger", ("uint8", "int8", "int32")),  # the types that its fast kernels want
    ):
        shapes = (f"{types[0]}[{a.shape[0]}, {a.shape[1]}] x", f"{types[2]}[{a.shape[0]}, {b.shape[1]}] y")
        model = onnx.parser.parse_model(
            f'<ir_version: 8, opset_import: ["": 17]> g ({shapes[0]}) => ({shapes[1]}) {{ y = {operator}(x, w) }}'
        )
        left, right = (a, b) if kind == "fp32" else (_int8(a, np.uint8), _int8(b, np.int8))
        model.graph.initializer.append(onnx.numpy_helper.from_array(right, "w"))
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        yield kind, name, partial(session.run, None, {"x": left})


def _openvino(a: Any, b: Any) -> Iterator[tuple[str, str, Product]]:
    openvino, ops, core = import_untracked("openvino"), import_untracked("openvino.opset13"), shared_core()
    able = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    name = f"OpenVINO {openvino.__version__.split('-')[0]}"
    for kind, needs, hint in (("fp32", "FP32", "f32"), ("bf16", "BF16", "bf16"), ("int8", "INT8", "f32")):
        if needs not in able:
            continue
        x = ops.parameter(a.shape, np.float32)
        left, right = x, ops.constant(b)
        if kind == "int8":  # as NNCF writes it: activations of 256 levels, weights of 255
            left = ops.fake_quantize(x, *map(np.float32, (-4, 4, -4, 4)), 256)
            right = ops.fake_quantize(right, *map(np.float32, (-4, 4, -4, 4)), 255)
        model = openvino.Model([ops.matmul(left, right, False, False)], [x])
        options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": hint}
        request = core.compile_model(model, "CPU", options).create_infer_request()
        yield kind, name, partial(request.infer, [a], share_inputs=True, share_outputs=True)


def _on_cuda(size: Size) -> Iterator[tuple[str, str, Product]]:
    import torch

    m, n, k = size

    def product(x: Any, w: Any) -> None:
        torch.mm(x, w)
        torch.cuda.synchronize()

    for kind, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)):
        x, w = (torch.ones(shape, device="cuda", dtype=dtype) for shape in ((m, k), (k, n)))
        yield kind, f"torch {torch.__version__.split('+')[0]}", partial(product, x, w)


def _int8(values: Any, dtype: type) -> Any:
    """Numbers over the range of a type of eight bits."""
    low = np.iinfo(dtype).min
    return np.clip(np.round(values * 32) + (128 if low == 0 else 0), low, low + 255).astype(dtype)


def main(argv: list[str]) -> int:
    """Measure and print."""
    for ceiling in measure_ceilings(*argv):
        print(json.dumps(asdict(ceiling)), flush=True)  # noqa: T201  (read by the process that started this one)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
