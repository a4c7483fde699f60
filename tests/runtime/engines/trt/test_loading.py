"""From an engine's bytes to a graph: refusals, the kernels that RTX keeps, and who is let go first."""

from __future__ import annotations

import gc
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from vljepa_runtime.bundle import Bundle, GraphSpec, write_bundle
from vljepa_runtime.contract import TensorSpec
from vljepa_runtime.engines.trt import loading
from vljepa_runtime.engines.trt.cache import EngineCache, Machine
from vljepa_runtime.engines.trt.library import Library
from vljepa_runtime.engines.trt.recipe import BuildRecipe, Range
from vljepa_runtime.errors import BundleError, GraphRefusedError

LAPTOP = Machine(gpu="RTX", compute_capability="8.9", driver="1", library="tensorrt-rtx", version="1.7")
RECIPE = BuildRecipe(precision="fp32", profiles=({"x": Range(min=(1, 4), opt=(1, 4), max=(1, 4))},))
released: list[str] = []


class Kept:
    """Says when it is let go."""

    def __init__(self, name: str, **members: Any) -> None:
        self.name = name
        self.__dict__.update(members)

    def __del__(self) -> None:
        released.append(self.name)


class Graph:
    """Stands for a loaded graph."""

    def __init__(self, *parts: Any, engine: str, held: Any, after_first_run: Any) -> None:
        self.after_first_run = after_first_run


class Kernels:
    """The cache of compiled kernels; takes only what was compiled by the same driver."""

    def deserialize(self, blob: bytes) -> bool:
        return blob == b"same driver"

    def serialize(self) -> bytes:
        return b"compiled now"


def library(*, tensors: tuple[str, ...] = ("x", "y"), context: bool = True) -> Library:
    """A library that takes any plan but `bad`."""

    def engine() -> Kept:
        return Kept(
            "engine",
            num_io_tensors=len(tensors),
            get_tensor_name=lambda index: tensors[index],
            get_tensor_mode=lambda name: "in" if name == "x" else "out",
            get_tensor_dtype=lambda name: SimpleNamespace(name="FLOAT"),
            create_execution_context=lambda *config: Kept("context") if context else None,
            create_runtime_config=lambda: SimpleNamespace(
                create_runtime_cache=Kernels, set_runtime_cache=lambda kernels: None
            ),
        )

    logger = SimpleNamespace(listeners=[])

    def runtime(logger: Any) -> Kept:
        def deserialise(plan: bytes) -> Kept | None:
            if plan == b"bad":
                logger.listeners[-1].errors.append("magic tag does not match")
                return None
            return engine()

        return Kept("runtime", deserialize_cuda_engine=deserialise)

    module = SimpleNamespace(Runtime=runtime, TensorIOMode=SimpleNamespace(INPUT="in", OUTPUT="out"))
    return Library(name="tensorrt-rtx", module=module, version="1.7", logger=logger)


@pytest.fixture
def bundle(small_zip: Path, tmp_path: Path) -> Bundle:
    """One graph, `toy`, of one input and one output."""
    small = Bundle.open(small_zip)
    x, y = (TensorSpec(name=name, dtype="float32", shape=("B", 4)) for name in "xy")
    spec = GraphSpec(file="g.engine", external=("g.build.json",), inputs=(x,), outputs=(y,))
    manifest = replace(small.manifest, target="tensorrt-rtx", graphs={"toy": spec}, tokenizers={})
    return write_bundle(
        tmp_path / "b.vljepa", manifest, {"g.engine": b"plan", "g.build.json": RECIPE.to_json()}
    )


@pytest.fixture
def _graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "TensorRTGraph", Graph)


def load(bundle: Bundle, made: Library, plan: bytes = b"plan", **options: Any) -> Any:
    device = SimpleNamespace(stream=lambda: 1, integrated=True)
    return loading.load_plan(made, device, bundle, "toy", plan, **options)  # type: ignore[arg-type]


def test_a_context_goes_before_its_engine_and_that_before_its_runtime(bundle: Bundle) -> None:
    released.clear()
    graph = load(bundle, library())
    gc.collect()
    assert released == []
    del graph
    gc.collect()
    assert released == ["context", "engine", "runtime"]


@pytest.mark.parametrize(
    ("options", "plan", "error", "message"),
    [
        ({}, b"bad", GraphRefusedError, "tensorrt-rtx 1.7 cannot load small/toy: magic tag does not match"),
        ({"tensors": ("x", "z")}, b"plan", BundleError, "small/toy: expected outputs"),
        ({"context": False}, b"plan", GraphRefusedError, "gives no context for small/toy"),
    ],
    ids=["plan", "contract", "memory"],
)
def test_refusals(
    options: dict[str, Any], plan: bytes, error: type[Exception], message: str, bundle: Bundle
) -> None:
    with pytest.raises(error, match=message):
        load(bundle, library(**options), plan)


@pytest.mark.usefixtures("_graphs")
@pytest.mark.parametrize(
    ("known", "after"),
    [(b"", b"compiled now"), (b"same driver", b"same driver"), (b"old driver", b"compiled now")],
    ids=["first start", "later", "new driver"],
)
def test_compiled_kernels_are_kept_after_the_first_run(
    known: bytes, after: bytes, bundle: Bundle, tmp_path: Path
) -> None:
    cache = EngineCache(tmp_path / "cache")
    name = cache.extra("kernels", LAPTOP, loading.content_hash(bundle, "toy"))
    if known:
        cache.write(name, known)
    graph = load(bundle, library(), kernels=(cache, LAPTOP))
    assert cache.read_extra(name) == known
    graph.after_first_run()
    assert cache.read_extra(name) == after


@pytest.mark.usefixtures("_graphs")
def test_tensorrt_has_nothing_to_keep(bundle: Bundle) -> None:
    assert load(bundle, library()).after_first_run is None
