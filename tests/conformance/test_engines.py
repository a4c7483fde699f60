"""What every engine must do alike; an engine that cannot is listed in `conftest.EXCEPTIONS` with its reason."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from vljepa_runtime.bundle import Bundle
from vljepa_runtime.engines import Engine, Graph
from vljepa_runtime.errors import BundleError, InputError
from vljepa_runtime.manifest import TensorSpec
from vljepa_runtime.model import Model

GRAPHS = ("x_encoder", "predictor", "y_encoder", "y_decoder_prefill", "y_decoder_step")
COSINE = 0.999  # the floor for any precision an engine picks by itself


def feeds(bundle: Bundle, graph: str, *, seed: int = 0, batch: int = 1) -> dict[str, np.ndarray]:
    """Plausible inputs for a graph: positions of a real grid, masks of ones, unit embeddings."""
    sizes = {"B": batch, "N": bundle.manifest.preprocess.tokens, "L": 32, "T": 5}
    draw = np.random.RandomState(seed)
    return {spec.name: _array(bundle, spec, sizes, draw) for spec in bundle.graph(graph).inputs}


def _array(
    bundle: Bundle, spec: TensorSpec, sizes: dict[str, int], draw: np.random.RandomState
) -> np.ndarray:
    shape = tuple(size if isinstance(size, int) else sizes.get(size, 5) for size in spec.shape)
    if spec.name == "positions":
        grid = np.indices(bundle.manifest.preprocess.grid).reshape(3, -1).T
        return np.broadcast_to(grid, shape).astype(spec.dtype)
    if "mask" in spec.name:
        return np.ones(shape, spec.dtype)
    if spec.dtype.startswith("float"):
        values = draw.standard_normal(shape)
        return np.asarray(values / np.linalg.norm(values, axis=-1, keepdims=True), spec.dtype)
    high = 256 if spec.dtype == "uint8" else 20
    return draw.randint(0, high, shape).astype(spec.dtype)


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    a, b = one.astype(np.float64).ravel(), other.astype(np.float64).ravel()
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


@pytest.fixture(params=GRAPHS)
def graph_name(request: pytest.FixtureRequest, bundle: Bundle) -> str:
    if request.param not in bundle.manifest.graphs:
        pytest.skip(f"{bundle.name} has no {request.param}")
    return str(request.param)


@pytest.fixture
def graph(engine: Engine, bundle: Bundle, graph_name: str) -> Graph:
    return engine.load(bundle, graph_name)


def test_contract(graph: Graph, bundle: Bundle, graph_name: str) -> None:
    """Name, inputs and outputs are the manifest's; results have the promised names, types and sizes."""
    assert graph.name == graph_name
    assert graph.inputs == bundle.graph(graph_name).inputs
    assert graph.outputs == bundle.graph(graph_name).outputs
    results = graph.run(feeds(bundle, graph_name))
    assert list(results) == [spec.name for spec in graph.outputs]
    for spec in graph.outputs:
        array = results[spec.name]
        assert array.dtype.name == spec.dtype
        assert all(want == got for want, got in zip(spec.shape, array.shape) if isinstance(want, int))
        assert len(spec.shape) == array.ndim
        assert np.isfinite(array).all()


def test_equals_the_reference(graph: Graph, reference: Engine, bundle: Bundle, graph_name: str) -> None:
    given = feeds(bundle, graph_name, seed=1)
    ours, theirs = graph.run(given), reference.load(bundle, graph_name).run(given)
    for name, array in ours.items():
        assert cosine(array, theirs[name]) > COSINE, name


def test_runs_are_repeatable_and_leave_their_inputs_alone(
    graph: Graph, bundle: Bundle, graph_name: str
) -> None:
    given = feeds(bundle, graph_name)
    copies = {name: array.copy() for name, array in given.items()}
    first = {name: array.copy() for name, array in graph.run(given).items()}
    graph.run(feeds(bundle, graph_name, seed=2))
    again = graph.run(given)
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert all(np.array_equal(given[name], copies[name]) for name in given)


def test_threads_may_share_a_graph(graph: Graph, bundle: Bundle, graph_name: str) -> None:
    given = [feeds(bundle, graph_name, seed=seed) for seed in range(4)]
    expected = [graph.run(each) for each in given]
    same: list[bool] = []

    def work(index: int) -> None:
        for _ in range(3):
            got = graph.run(given[index])
            same.append(all(np.allclose(got[name], expected[index][name], atol=1e-5) for name in got))

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert same == [True] * 12


@pytest.mark.parametrize("fault", ["missing", "unknown", "dtype", "rank"])
def test_wrong_feeds_are_refused_before_the_engine_sees_them(
    graph: Graph, bundle: Bundle, graph_name: str, fault: str
) -> None:
    given = feeds(bundle, graph_name)
    name = graph.inputs[0].name
    if fault == "missing":
        del given[name]
    elif fault == "unknown":
        given["surprise"] = given[name]
    elif fault == "dtype":
        given[name] = given[name].astype(np.float64)
    else:
        given[name] = given[name][None]
    with pytest.raises(InputError, match="expected"):
        graph.run(given)


def test_a_missing_graph_is_named(engine: Engine, bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="has no graph 'z_encoder'"):
        engine.load(bundle, "z_encoder")


def test_fewer_tokens_and_their_order(engine: Engine, bundle: Bundle) -> None:
    """Half the tokens run where N is free, and a token's place in the list does not matter to the predictor."""
    spec = bundle.graph("x_encoder")
    if spec.token_budgets:
        pytest.skip(f"{bundle.name} has fixed token budgets")
    model = Model(bundle, engine)
    tokens = bundle.manifest.preprocess.tokens
    given = feeds(bundle, "x_encoder")
    patches, positions = given["patches"][0], given["positions"][0]
    assert len(model.encode_patches(patches[: tokens // 2], positions[: tokens // 2])) == tokens // 2
    order = np.random.RandomState(0).permutation(tokens)
    plain = model.predict(model.encode_patches(patches, positions))
    mixed = model.predict(model.encode_patches(patches[order], positions[order]))
    assert cosine(plain, mixed) > COSINE


def test_padding_a_query_changes_nothing(engine: Engine, bundle: Bundle) -> None:
    graph = engine.load(bundle, "predictor")
    if isinstance(graph.inputs[1].shape[1], int):
        pytest.skip(f"{bundle.name} has a fixed query length")
    given = feeds(bundle, "predictor")
    given["query_mask"][:, 9:] = 0
    short = {name: array[:, :9] if name.startswith("query") else array for name, array in given.items()}
    assert cosine(graph.run(given)["embedding"], graph.run(short)["embedding"]) > COSINE


def test_the_whole_path(engine: Engine, reference: Engine, bundle: Bundle) -> None:
    """Embedding and ranking of a clip agree with the reference."""
    clip = np.random.RandomState(5).randint(0, 256, (8, 40, 60, 3)).astype(np.uint8)
    ours, theirs = Model(bundle, engine), Model(bundle, reference)
    embedding = ours.embed(clip)
    assert np.linalg.norm(embedding) == pytest.approx(1, abs=1e-5)
    assert cosine(embedding, theirs.embed(clip)) > COSINE
    labels = ["a red ball", "a blue box", "two"]
    pairs = [
        {scored.label: scored.score for scored in each.classify(clip, labels)} for each in (ours, theirs)
    ]
    assert all(pairs[0][label] == pytest.approx(pairs[1][label], abs=0.03) for label in labels)
