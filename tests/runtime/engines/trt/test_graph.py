"""The host's side of a run: profiles, shapes, addresses and whose memory is copied. The GPU is host memory here."""

from __future__ import annotations

import ctypes
import gc
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from vljepa_runtime.bundle import GraphSpec
from vljepa_runtime.contract import TensorSpec
from vljepa_runtime.engines.trt.cuda import Pinned, owner
from vljepa_runtime.engines.trt.graph import TensorRTGraph, tensor_types
from vljepa_runtime.engines.trt.recipe import BuildRecipe, Range
from vljepa_runtime.errors import InputError, RunError

SPEC = GraphSpec(
    file="double.engine",
    inputs=(TensorSpec(name="x", dtype="float32", shape=("B", 4)),),
    outputs=(TensorSpec(name="y", dtype="float32", shape=("B", 4)),),
)
RECIPE = BuildRecipe(
    precision="fp32",
    profiles=tuple({"x": Range(min=(n, 4), opt=(n, 4), max=(n, 4))} for n in (1, 2)),
)


class HostDevice:
    """Allocates host memory and counts what was asked of it; a shared one offsets what the GPU sees."""

    def __init__(self, *, integrated: bool) -> None:
        self.integrated = integrated
        self.offset = 1 << 40 if integrated else 0
        self.copies: list[int] = []
        self.given_back = self.freed = 0
        self._alive: dict[int, Any] = {}

    def allocate(self, size: int) -> int:
        block = (ctypes.c_char * size)()
        self._alive[ctypes.addressof(block)] = block
        return ctypes.addressof(block)

    def free(self, address: int) -> None:
        self.freed += 1
        del self._alive[address]

    def pinned(self, size: int) -> Pinned:
        return Pinned(self, self.allocate(size), size)

    def give_back(self, address: int, size: int) -> None:
        self.given_back += 1

    def seen_by_gpu(self, address: int) -> int:
        return address + self.offset

    def copy(self, to: int, source: int, size: int, stream: int) -> None:
        self.copies.append(size)
        ctypes.memmove(to, source, size)

    def stream(self) -> int:
        return 7

    def synchronize(self, stream: int) -> None:
        assert stream == 7


class Doubling:
    """An execution context whose engine doubles `x`."""

    def __init__(self, device: HostDevice, *, refuse: str = "") -> None:
        self.device, self.refuse = device, refuse
        self.shape: tuple[int, ...] = ()
        self.addresses: dict[str, int] = {}
        self.profiles: list[int] = []

    def set_optimization_profile_async(self, index: int, stream: int) -> bool:
        self.profiles.append(index)
        return self.refuse != "profile"

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self.shape = tuple(shape)
        return self.refuse != "shape"

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return (-1, 4) if self.refuse == "size" else self.shape

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return True

    def execute_async_v3(self, stream: int) -> bool:
        if self.refuse == "run":
            return False
        count = int(np.prod(self.shape))
        x, y = (
            np.ctypeslib.as_array(
                (ctypes.c_float * count).from_address(self.addresses[name] - self.device.offset)
            )
            for name in ("x", "y")
        )
        y[:] = 2 * x
        return True


@pytest.fixture(params=[True, False], ids=["shared", "copied"])
def device(request: pytest.FixtureRequest) -> HostDevice:
    return HostDevice(integrated=request.param)


def graph(device: HostDevice, **options: Any) -> tuple[TensorRTGraph, Doubling]:
    context = Doubling(device, **options)
    return TensorRTGraph("double", SPEC, RECIPE, context, device), context


def x(batch: int = 1) -> np.ndarray:
    return np.arange(4 * batch, dtype=np.float32).reshape(batch, 4)


def test_results_and_profiles(device: HostDevice) -> None:
    loaded, context = graph(device)
    for batch in (1, 1, 2, 1):
        np.testing.assert_array_equal(loaded.run({"x": x(batch)})["y"], 2 * x(batch))
    assert context.profiles == [0, 1, 0]  # only when it changes


def test_a_result_outlives_the_next_run_and_then_returns(device: HostDevice) -> None:
    loaded, _ = graph(device)
    first = loaded.run({"x": x()})["y"]
    loaded.run({"x": 100 * x()})
    np.testing.assert_array_equal(first, 2 * x())
    before = device.given_back
    view = first[:, 1:]
    del first
    gc.collect()
    np.testing.assert_array_equal(view, 2 * x()[:, 1:])
    assert device.given_back == before
    del view
    gc.collect()
    assert device.given_back == before + 1


def test_results_feed_the_next_graph_where_they_lie() -> None:
    device = HostDevice(integrated=True)
    loaded, context = graph(device)
    result = loaded.run({"x": x()})["y"]
    again = loaded.run({"x": result})["y"]
    np.testing.assert_array_equal(again, 4 * x())
    assert context.addresses["x"] == result.ctypes.data + device.offset
    assert device.copies == []


def test_a_gpu_of_its_own_gets_one_copy_each_way() -> None:
    device = HostDevice(integrated=False)
    loaded, _ = graph(device)
    loaded.run({"x": x()})
    assert device.copies == [16, 16]


def test_buffers_grow_and_go_with_the_graph() -> None:
    device = HostDevice(integrated=False)
    loaded, _ = graph(device)
    for batch in (1, 2, 1):
        loaded.run({"x": x(batch)})
    assert device.freed == 2  # the small ones of x and y
    del loaded
    gc.collect()
    assert device.freed == 4


def test_only_whole_arrays_count_as_lying_in_a_block(device: HostDevice) -> None:
    block = device.pinned(64)
    array = block.array((4, 4), "float32")
    assert owner(array) is block
    assert owner(array[1:]) is block
    assert owner(array[:, 1:]) is None  # not contiguous: copied
    assert owner(x()) is None


@pytest.mark.parametrize(
    ("refuse", "message"),
    [
        ("profile", "refused profile 0"),
        ("shape", "refused the shape"),
        ("run", "refused the run"),
        ("size", "no size"),
    ],
)
def test_a_refusal_is_an_error(device: HostDevice, refuse: str, message: str) -> None:
    loaded, _ = graph(device, refuse=refuse)
    with pytest.raises(RunError, match=message):
        loaded.run({"x": x()})


def test_a_size_without_a_profile_never_reaches_the_gpu(device: HostDevice) -> None:
    loaded, context = graph(device)
    with pytest.raises(InputError, match=r"double: expected x \(1, 4\) or x \(2, 4\), got x \(3, 4\)"):
        loaded.run({"x": x(3)})
    assert context.profiles == []


def test_the_first_run_is_announced_once(device: HostDevice) -> None:
    calls: list[int] = []
    context = Doubling(device)
    loaded = TensorRTGraph("double", SPEC, RECIPE, context, device, after_first_run=lambda: calls.append(1))
    for _ in range(3):
        loaded.run({"x": x()})
    assert calls == [1]


def engine(**types: str) -> SimpleNamespace:
    names = list(types)
    return SimpleNamespace(
        num_io_tensors=len(names),
        get_tensor_name=lambda index: names[index],
        get_tensor_mode=lambda name: "in" if name == "x" else "out",
        get_tensor_dtype=lambda name: SimpleNamespace(name=types[name]),
    )


MODULE = SimpleNamespace(module=SimpleNamespace(TensorIOMode=SimpleNamespace(INPUT="in", OUTPUT="out")))


def test_the_tensors_of_an_engine_are_named_as_in_a_bundle() -> None:
    found = tensor_types(MODULE, engine(x="HALF", y="FLOAT", z="FP4"))  # type: ignore[arg-type]
    assert found == ({"x": "float16"}, {"y": "float32", "z": "FP4"})
