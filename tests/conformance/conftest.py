"""Every engine that is installed here with every bundle that it loads, and what each must agree with.

`pytest tests/conformance --bundle PATH [--reference FP32_BUNDLE] [--tokens N]` runs the suite on a bundle of your own.
One graph is loaded at a time, so that one of gigabytes fits too; `--tokens` makes its windows smaller.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from vljepa_evaluation.gates import Reference
from vljepa_quant import limits_for
from vljepa_runtime.bundle import Bundle, shipped_bundles
from vljepa_runtime.contract import TensorSpec
from vljepa_runtime.engines import Engine, Graph, available_engines, families, open_engine
from vljepa_runtime.errors import BundleError, EngineError
from vljepa_runtime.model import Model

SMALL = Path(__file__).parents[1] / "runtime" / "bundles" / "small.vljepa"
REFERENCE = "onnxruntime:cpu"
# The reference interpreter of Core ML programs runs what only a Mac runs fast; an engine like the others.
INTERPRETER = "coreml:interpreter"

# The small model's graphs in other formats: case -> (format, precision). TensorRT for RTX is only run where a GPU is.
BUILT = {
    **{f"onnx-{name}": ("onnx", name) for name in ("fp16", "bf16")},
    **{f"openvino-{name}": ("openvino", name) for name in ("fp32", "bf16", "fp16", "int8", "int8-weights")},
    **{f"tensorrt-rtx-{name}": ("tensorrt-rtx", name) for name in ("fp32", "fp16")},
    **{f"coreml-{name}": ("coreml", name) for name in ("fp32", "fp16")},
}
# Targets that no case here is made for, with the reason.
NO_CASE = {"tensorrt": "its engines are built by `vljepa build` first: pass such a bundle with --bundle"}
# What a converter needs, besides torch and onnx.
NEEDS = {"onnx": "onnx", "openvino": "nncf", "tensorrt-rtx": "tensorrt_rtx", "coreml": "coremltools"}
# Core ML's step has a cache of fixed length, made from the torch module that these bundles lack: it is compared with
# ONNX Runtime in tests/export/targets/test_coreml.py.
WITHOUT = {"coreml": ("y_decoder_prefill", "y_decoder_step")}

# Cases that not every engine for their target has kernels for, and those that have.
ONNX_GPU = ("onnxruntime:cuda", "onnxruntime:cuda-graph")
ONLY = {"onnx-fp16": ("onnxruntime:cpu", *ONNX_GPU), "onnx-bf16": ONNX_GPU}

Feeds = Callable[..., dict[str, np.ndarray]]
Same = Callable[[np.ndarray, np.ndarray], bool]

# The order of sums and tokens alone makes this difference.
NEAR = 0.999
# Engines whose kernels add up in an order that is another at each run (seen on an H200: float32 products of the
# predictor): what they give twice agrees to this cosine, and to the bit nowhere.
CHANGING_SUMS = tuple(
    f"onnxruntime:{device}" for device in ("cuda", "cuda-graph", "tensorrt", "nvtensorrtrtx")
)
CHANGED_ORDER = 0.9999
CALIBRATED = "-static"
# A bundle of one's own with calibrated ranges cannot be as near as its gates ask, whatever runs it: most inputs here
# are noise, which calibration on clips and texts never saw.
NEAR_ON_NOISE = 0.9
# What else may be further from the reference than the gates ask, with the reason: (case, test) -> cosine.
FURTHER = {
    # The ranges of a network 8 values wide are calibrated on 8 samples of noise; two graphs follow each other.
    ("openvino-int8", "test_the_whole_path"): 0.95,
}

# What an engine may do otherwise, with the reason: (engine, test) -> reason. Empty is the goal. Fixed sizes are no
# exception: a bundle with token budgets says so, and tests of free sizes skip it.
EXCEPTIONS: dict[tuple[str, str], str] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A bundle under test.

    Attributes:
        name: For people.
        bundle: What is loaded.
        reference: The bundle whose numbers are right.
        cosine: How near an output must be to the reference's.
    """

    name: str
    bundle: Bundle
    reference: Bundle
    cosine: float


def pytest_addoption(parser: pytest.Parser) -> None:
    """Bundles of one's own."""
    parser.addoption(
        "--bundle", action="append", default=[], help="run the suite on this bundle; may be repeated"
    )
    parser.addoption("--reference", help="the fp32 ONNX bundle that those must agree with")
    parser.addoption(
        "--tokens", type=int, help="visual tokens where a test says nothing else (all of a window)"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Pair engines with the bundles that they load."""
    if "target" in metafunc.fixturenames:
        metafunc.parametrize("target", dict.fromkeys(t for family in families() for t in family.targets))
    if "pair" not in metafunc.fixturenames:
        return
    cases = metafunc.config.getoption("--bundle", default=[]) or ["small", *shipped_bundles(), *BUILT]
    pairs = [
        (engine, case)
        for engine in engines()
        for case in cases
        if target_of(case) in targets_of(engine) and engine in ONLY.get(case, (engine,))
    ]
    metafunc.parametrize(
        "pair", pairs, ids=[f"{engine}-{Path(case).stem}" for engine, case in pairs], indirect=True
    )


@pytest.fixture
def cases_of(target: str) -> list[str]:
    """The cases made for a target, whether an engine for it is installed here or not."""
    return [case for case in ("small", *BUILT) if target_of(case) == target]


@pytest.fixture
def no_case() -> dict[str, str]:
    """Targets without a case, with the reason."""
    return NO_CASE


def engines() -> tuple[str, ...]:
    """What is installed here, and the interpreter."""
    return (*available_engines(), INTERPRETER)


def target_of(case: str) -> str:
    """What a case's bundle is made for."""
    if case in BUILT:
        return BUILT[case][0]
    return Bundle.open(SMALL if case == "small" else case, verify=False).manifest.target


def targets_of(engine: str) -> tuple[str, ...]:
    """What an engine loads."""
    if engine == INTERPRETER:
        return ("coreml",)
    return next(family.targets for family in families() if engine in family.names)


def opened(engine: str) -> Engine:
    """Start an engine."""
    if engine != INTERPRETER:
        return open_engine(engine, threads=1)
    pytest.importorskip("coremltools")
    pytest.importorskip("onnx")
    from vljepa_export.mil.engine import InterpreterEngine

    return InterpreterEngine()


@pytest.fixture(scope="session")
def case_named(request: pytest.FixtureRequest) -> Callable[[str], Case]:
    """Opens or builds a case once."""
    made: dict[str, Case] = {}

    def find(name: str) -> Case:
        if name not in made:
            made[name] = build(name, request.config.getoption("--reference", default=None))
        return made[name]

    return find


def build(name: str, reference: str | None) -> Case:
    small = Bundle.open(SMALL)
    if name in BUILT:
        bundle = converted(small, *BUILT[name])
        return Case(name=name, bundle=bundle, reference=small, cosine=tolerance(name, bundle))
    bundle = small if name == "small" else Bundle.open(name)
    right = Bundle.open(reference) if reference else bundle
    if right.manifest.target != "onnx":
        pytest.skip(f"{name} needs an ONNX bundle to agree with: pass --reference")
    # An ONNX bundle is compared with itself on another engine, where only the order of sums differs.
    return Case(
        name=name,
        bundle=bundle,
        reference=right,
        cosine=NEAR if right is bundle else tolerance(name, bundle),
    )


def tolerance(name: str, bundle: Bundle) -> float:
    """How near outputs must be: what the gates allow, never stricter than the order of sums and tokens allows."""
    labels = bundle.manifest.precision.values()
    if name not in BUILT and any(label.endswith(CALIBRATED) for label in labels):
        return NEAR_ON_NOISE
    return min(NEAR, *map(_row_limit, labels))


def _row_limit(label: str) -> float:
    """What a few rows are held to: the gates' mean; of 4-bit weights and calibrated ranges, the worst row's limit."""
    limits = limits_for(label)
    varied = label.startswith("int4") or label.endswith(CALIBRATED)
    return limits.worst_cosine if varied else limits.mean_cosine


def converted(source: Bundle, format: str, precision: str) -> Bundle:
    """The same graphs in another format, made by the exporter's own converter."""
    pytest.importorskip("onnx")
    nn = pytest.importorskip("torch").nn
    pytest.importorskip(NEEDS[format])
    from vljepa_export.formats import find_format, load_target
    from vljepa_export.targets.protocol import TracedGraph

    row = find_format(format)
    convert = load_target(row).convert
    files: dict[str, bytes] = {"tokenizer.json": source.read("tokenizer.json")}
    graphs, labels, execution = {}, {}, {}
    for name, spec in source.manifest.graphs.items():
        if name in WITHOUT.get(format, ()):
            continue
        contract: Any = SimpleNamespace(name=name, inputs=spec.inputs, outputs=spec.outputs)
        # Full windows and few tokens in turn, as an export shows full and half ones: ranges hold for what was seen.
        samples = [plausible(source, name, seed=seed, tokens=(None, 1)[seed % 2]) for seed in range(8)]
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch, "float.onnx")
            path.write_bytes(source.read(spec.file))
            traced = TracedGraph(contract=contract, path=path, network=nn.Module)
            made = convert(
                traced, row.precision(precision), samples=samples, budgets=(), folder=Path(scratch)
            )
            files |= {file: content(place) for file, place in made.files.items()}
        graphs[name], labels[name], execution[name] = (
            made.spec,
            made.precision.label,
            made.precision.execution,
        )
    manifest = replace(
        source.manifest, target=format, graphs=graphs, precision=labels, execution=execution, notes={}
    )
    return Bundle.in_memory(manifest, files)


def content(path: Path) -> bytes:
    """A file of a bundle; an ONNX graph with its weights in it."""
    import onnx

    return bytes(onnx.load(path).SerializeToString()) if path.suffix == ".onnx" else path.read_bytes()


@pytest.fixture(scope="module")
def pair(request: pytest.FixtureRequest, case_named: Callable[[str], Case]) -> tuple[Engine, Case]:
    """An engine and a case; a device that is not there skips, with the engine's own words."""
    engine, case = request.param
    try:
        return opened(engine), case_named(case)
    except EngineError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def engine(pair: tuple[Engine, Case]) -> Engine:
    """The engine under test."""
    return pair[0]


@pytest.fixture(scope="module")
def case(pair: tuple[Engine, Case]) -> Case:
    """The bundle under test, with what it must agree with."""
    return pair[1]


@pytest.fixture
def near(request: pytest.FixtureRequest, case: Case) -> float:
    """How near an output must be to the reference's, as a cosine."""
    return FURTHER.get((case.name, request.function.__name__), case.cosine)


@pytest.fixture(scope="module")
def same(engine: Engine) -> Same:
    """Whether two results of one engine are the same: to the bit, but where sums change their order."""

    def agree(one: np.ndarray, other: np.ndarray) -> bool:
        if one.shape != other.shape or engine.name not in CHANGING_SUMS:
            return np.array_equal(one, other)
        a, b = one.astype(np.float64).ravel(), other.astype(np.float64).ravel()
        return bool(a @ b >= CHANGED_ORDER * np.linalg.norm(a) * np.linalg.norm(b))

    return agree


@pytest.fixture(scope="module")
def bundle(case: Case) -> Bundle:
    """The bundle under test."""
    return case.bundle


@pytest.fixture(scope="module")
def reference() -> Engine:
    """The engine that the others are compared with."""
    return open_engine(REFERENCE, threads=1)


@pytest.fixture(scope="session")
def feeds(request: pytest.FixtureRequest) -> Feeds:
    """Makes plausible inputs for a graph."""
    usual = request.config.getoption("--tokens", default=None)

    def made(bundle: Bundle, graph: str, *, tokens: int | None = None, **how: int) -> dict[str, np.ndarray]:
        return plausible(bundle, graph, tokens=tokens or usual, **how)

    return made


@pytest.fixture(scope="module")
def loaded(engine: Engine, bundle: Bundle) -> Callable[[str], Graph]:
    """A graph of the bundle on the engine, loaded once for all tests that change nothing about it."""
    return lru_cache(1)(lambda name: engine.load(bundle, name))


@pytest.fixture(scope="module")
def right(reference: Engine, case: Case) -> Callable[[str], Graph]:
    """A graph whose numbers are right, loaded once."""
    return lru_cache(1)(lambda name: reference.load(case.reference, name))


@pytest.fixture
def model(engine: Engine, bundle: Bundle) -> Model:
    """The bundle on the engine as users have it."""
    return Model(bundle, engine)


@pytest.fixture(autouse=True)
def _exceptions(request: pytest.FixtureRequest) -> None:
    """Turn the entries of `EXCEPTIONS` into expected failures."""
    if "engine" in request.fixturenames:
        engine = request.getfixturevalue("engine")
        if reason := EXCEPTIONS.get((engine.name, request.function.__name__)):
            request.applymarker(pytest.mark.xfail(reason=reason, strict=True))


def plausible(
    bundle: Bundle, graph: str, *, seed: int = 0, batch: int = 1, tokens: int | None = None
) -> dict[str, np.ndarray]:
    """Plausible inputs for a graph: positions of a real grid, masks of ones, unit vectors.

    The predictor gets tokens and queries of the bundle's reference, where it has one: noise is far from what ranges
    were set on.
    """
    spec = bundle.graph(graph)
    count = tokens or (spec.token_budgets[0] if spec.token_budgets else bundle.manifest.preprocess.tokens)
    sizes = {"B": batch, "N": count, "L": 32, "T": 5}
    draw = np.random.RandomState(seed)
    feeds = {tensor.name: _array(bundle, tensor, sizes, draw) for tensor in spec.inputs}
    if graph == "predictor" and (recorded := _recorded(bundle)):
        visual, ids, mask = recorded
        rows = draw.randint(0, len(ids), batch)
        feeds["visual"] = visual[draw.randint(0, len(visual), (batch, count))]
        feeds["query_ids"], feeds["query_mask"] = ids[rows], mask[rows]
    return feeds


@cache
def _recorded(bundle: Bundle) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Visual tokens (tokens, Dv), query ids and masks (queries, 32) of a bundle's reference."""
    try:
        feeds = [sample.feeds for sample in Reference.of(bundle).samples["predictor"]]
    except BundleError:
        return None
    short = [each for each in feeds if each["query_ids"].shape[1] == 32]
    return (
        np.concatenate([each["visual"][0] for each in feeds]),
        np.concatenate([each["query_ids"] for each in short]),
        np.concatenate([each["query_mask"] for each in short]),
    )


def _array(
    bundle: Bundle, spec: TensorSpec, sizes: dict[str, int], draw: np.random.RandomState
) -> np.ndarray:
    shape = tuple(size if isinstance(size, int) else sizes.get(size, 5) for size in spec.shape)
    if spec.name == "positions":
        grid = np.indices(bundle.manifest.preprocess.grid).reshape(3, -1).T[: shape[1]]
        return np.broadcast_to(grid, shape).astype(spec.dtype)
    if "mask" in spec.name:
        return np.ones(shape, spec.dtype)
    if spec.name == "patches":
        return draw.randint(0, 256, shape).astype(spec.dtype)
    if spec.dtype.startswith("float"):
        values = draw.standard_normal(shape)
        return np.asarray(values / np.linalg.norm(values, axis=-1, keepdims=True), spec.dtype)
    return draw.randint(0, 20, shape).astype(spec.dtype)
