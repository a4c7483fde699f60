"""What every engine must do alike; an engine that cannot is listed in `conftest.EXCEPTIONS` with its reason."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from vljepa_runtime.bundle import Bundle
from vljepa_runtime.engines import Engine, Graph, describe
from vljepa_runtime.errors import BundleError, InputError
from vljepa_runtime.model import Model

GRAPHS = ("x_encoder", "predictor", "y_encoder", "y_decoder_prefill", "y_decoder_step")
Feeds = Callable[..., dict[str, np.ndarray]]
Same = Callable[[np.ndarray, np.ndarray], bool]


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    a, b = one.astype(np.float64).ravel(), other.astype(np.float64).ravel()
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


@pytest.fixture(params=GRAPHS, scope="module")
def graph_name(request: pytest.FixtureRequest, bundle: Bundle) -> str:
    if request.param not in bundle.manifest.graphs:
        pytest.skip(f"{bundle.name} has no {request.param}")
    return str(request.param)


@pytest.fixture
def graph(loaded: Callable[[str], Graph], graph_name: str) -> Graph:
    return loaded(graph_name)


def test_every_target_of_an_engine_has_a_case(
    target: str, cases_of: list[str], no_case: dict[str, str]
) -> None:
    """A new engine for bundles of its own would be paired with none, and nothing below would run it."""
    assert bool(cases_of) != (target in no_case), f"no case in conftest.py is made for {target}"


def test_contract(graph: Graph, bundle: Bundle, graph_name: str, feeds: Feeds) -> None:
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


def test_the_engine_says_what_runs(engine: Engine, graph: Graph) -> None:
    assert describe(engine).startswith(engine.name)
    assert any(digit in describe(engine) for digit in "0123456789")  # a version


def test_equals_the_reference(
    graph: Graph, right: Callable[[str], Graph], case: Any, near: float, graph_name: str, feeds: Feeds
) -> None:
    given = feeds(case.bundle, graph_name, seed=1)
    ours, theirs = graph.run(given), right(graph_name).run(given)
    for name, array in ours.items():
        assert cosine(array, theirs[name]) > near, name


@pytest.mark.parametrize(("batch", "tokens"), [(1, 5), (1, 1), (2, None), (3, 7)])
def test_any_batch_and_number_of_tokens(
    batch: int,
    tokens: int | None,
    graph: Graph,
    right: Callable[[str], Graph],
    case: Any,
    near: float,
    graph_name: str,
    feeds: Feeds,
) -> None:
    """Free axes are free: sizes other than the usual window's agree with the reference too."""
    shape = graph.inputs[0].shape
    if isinstance(shape[0], int) or (graph_name in ("x_encoder", "predictor") and isinstance(shape[1], int)):
        pytest.skip(f"{graph_name} has fixed sizes")
    if case.bundle.graph(graph_name).token_budgets:
        pytest.skip(f"{graph_name} has fixed token budgets")
    given = feeds(case.bundle, graph_name, seed=3, batch=batch, tokens=tokens)
    ours, theirs = graph.run(given), right(graph_name).run(given)
    for name, array in ours.items():
        assert array.shape == theirs[name].shape
        assert cosine(array, theirs[name]) > near, name


def test_a_change_of_sizes_and_back_changes_nothing(
    engine: Engine, graph: Graph, bundle: Bundle, graph_name: str, feeds: Feeds, same: Same
) -> None:
    usual = feeds(bundle, graph_name)
    first = graph.run(usual)
    if isinstance(graph.inputs[0].shape[0], str):
        graph.run(feeds(bundle, graph_name, batch=2))
    again = graph.run(usual)
    assert all(same(first[name], again[name]) for name in first)
    loaded_again = engine.load(bundle, graph_name).run(usual)
    assert all(same(first[name], loaded_again[name]) for name in first)


def test_runs_are_repeatable_and_leave_their_inputs_alone(
    graph: Graph, bundle: Bundle, graph_name: str, feeds: Feeds, same: Same
) -> None:
    given = feeds(bundle, graph_name)
    copies = {name: array.copy() for name, array in given.items()}
    results = graph.run(given)
    first = {name: array.copy() for name, array in results.items()}
    graph.run(feeds(bundle, graph_name, seed=2))
    assert all(np.array_equal(first[name], results[name]) for name in first)  # results belong to the caller
    again = graph.run(given)
    assert all(same(first[name], again[name]) for name in first)
    assert all(np.array_equal(given[name], copies[name]) for name in given)


def test_inputs_need_not_be_writable_or_contiguous(
    graph: Graph, bundle: Bundle, graph_name: str, feeds: Feeds, same: Same
) -> None:
    given = feeds(bundle, graph_name)
    expected = graph.run(given)
    strange = {name: np.repeat(array, 2, axis=-1)[..., ::2] for name, array in given.items()}
    for array in strange.values():
        array.setflags(write=False)
    got = graph.run(strange)
    assert all(same(expected[name], got[name]) for name in got)


def test_threads_may_share_a_graph(
    graph: Graph, bundle: Bundle, graph_name: str, feeds: Feeds, same: Same
) -> None:
    given = [feeds(bundle, graph_name, seed=seed) for seed in range(4)]
    expected = [graph.run(each) for each in given]
    agreed: list[bool] = []

    def work(index: int) -> None:
        for _ in range(3):
            got = graph.run(given[index])
            agreed.append(all(same(got[name], expected[index][name]) for name in got))

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert agreed == [True] * 12


@pytest.mark.parametrize("fault", ["missing", "unknown", "dtype", "rank"])
def test_wrong_feeds_are_refused_before_the_engine_sees_them(
    graph: Graph, bundle: Bundle, graph_name: str, fault: str, feeds: Feeds
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


def test_fewer_tokens_and_their_order(
    model: Model, reference: Engine, case: Any, near: float, bundle: Bundle, feeds: Feeds
) -> None:
    """Half the tokens run where N is free, the X-encoder follows them into any order, and so does the predictor.

    To the predictor's rotary angles a token's place in the list matters; the reference says by how much.
    """
    spec = bundle.graph("x_encoder")
    if spec.token_budgets:
        pytest.skip(f"{bundle.name} has fixed token budgets")
    given = feeds(bundle, "x_encoder")
    patches, positions = given["patches"][0], given["positions"][0]
    tokens = len(patches)
    assert len(model.encode_patches(patches[: tokens // 2], positions[: tokens // 2])) == tokens // 2
    order = np.random.RandomState(0).permutation(tokens)
    plain, mixed = (
        model.encode_patches(patches, positions),
        model.encode_patches(patches[order], positions[order]),
    )
    assert cosine(plain[order], mixed) > near
    assert cosine(model.predict(mixed), Model(case.reference, reference).predict(mixed)) > near


def test_padding_a_query_changes_nothing(
    loaded: Callable[[str], Graph], near: float, bundle: Bundle, feeds: Feeds
) -> None:
    graph = loaded("predictor")
    if isinstance(graph.inputs[1].shape[1], int):
        pytest.skip(f"{bundle.name} has a fixed query length")
    given = feeds(bundle, "predictor")
    given["query_mask"][:, 9:] = 0
    short = {name: array[:, :9] if name.startswith("query") else array for name, array in given.items()}
    assert cosine(graph.run(given)["embedding"], graph.run(short)["embedding"]) > near


def test_the_whole_path(model: Model, reference: Engine, case: Any, near: float) -> None:
    """Embedding, ranking and words of a clip agree with the reference."""
    clip = np.random.RandomState(5).randint(0, 256, (8, 40, 60, 3)).astype(np.uint8)
    ours, theirs = model, Model(case.reference, reference)
    embedding = ours.embed(clip)
    assert np.linalg.norm(embedding) == pytest.approx(1, abs=1e-5)
    assert cosine(embedding, theirs.embed(clip)) > near
    labels = ["a red ball", "a blue box", "two"]
    pairs = [
        {scored.label: scored.score for scored in each.classify(clip, labels)} for each in (ours, theirs)
    ]
    off = 0.01 + 2 * (1 - near)
    assert all(pairs[0][label] == pytest.approx(pairs[1][label], abs=off) for label in labels)
    assert not ours.has_decoder or isinstance(ours.decode(embedding), str)
