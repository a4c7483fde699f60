"""Graphs of neighbours: they find what an exact search finds, from memory and from the cache, of all rows or some."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from vljepa_log import WINDOW, Batch, Contents, Where, folder_store, neighbours, open_store, products
from vljepa_log.store import Store

pytestmark = pytest.mark.skipif(find_spec("usearch") is None, reason="the extra log is not installed")
ROWS, SIDE = 3000, 32


@pytest.fixture
def vectors(monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    monkeypatch.setattr(neighbours, "FROM_VALUES", 256 * SIDE)
    monkeypatch.setattr(folder_store, "PART_BYTES", 1024 * 2 * SIDE)
    rows = np.random.default_rng(0).normal(size=(ROWS, SIDE)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def store(tmp_path: Path, vectors: np.ndarray) -> Iterator[Store]:
    """Two full parts and one that grows; every fourth window is of another stream."""
    store = open_store(tmp_path / "LOG", identity={"embedding_dim": str(SIDE)}, writable=True)
    numbers = np.arange(ROWS)
    for some in np.array_split(numbers, 10):
        for stream, chosen in (("door", some[some % 4 != 0]), ("yard", some[some % 4 == 0])):
            windows = np.zeros(len(chosen), WINDOW)
            windows["start_s"] = windows["end_s"] = windows["time"] = chosen
            batch = Batch(stream=stream, query="q", windows=windows, embeddings=vectors[chosen])
            store.append(Contents(batches=[batch]))
    yield store
    store.close()


def share_found(store: Store, vectors: np.ndarray, where: Where, chosen: np.ndarray) -> float:
    """Of the ten nearest by NumPy, over 30 queries."""
    shares = []
    for query in np.random.default_rng(1).normal(size=(30, SIDE)).astype(np.float32):
        exact = chosen[np.argsort(-(vectors[chosen] @ query))[:10]]
        found = store.nearest(query, k=10, where=where)
        assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)
        shares.append(len({int(each.start_s) for each in found} & set(exact.tolist())) / len(exact))
    return float(np.mean(shares))


NUMBERS = np.arange(ROWS)


@pytest.mark.parametrize(
    ("where", "chosen"),
    [
        (Where(), NUMBERS),
        (Where(streams=("yard",)), NUMBERS[NUMBERS % 4 == 0]),
        (Where(since=900, until=2500), NUMBERS[900:2500]),
        (Where(streams=("door",), until=30), NUMBERS[:30][NUMBERS[:30] % 4 != 0]),
    ],
    ids=["all", "a stream", "a time", "few"],
)
def test_graphs_find_what_is_near(
    store: Store, vectors: np.ndarray, where: Where, chosen: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert share_found(store, vectors, where, chosen) > 0.99  # float16 alone, no graph yet
    assert store.behind()
    store.update()
    assert not store.behind()
    scored: list[int] = []
    exact = products.Cosines.of
    monkeypatch.setattr(
        products.Cosines, "of", lambda self, e, rows: (scored.append(len(rows)), exact(self, e, rows))[1]
    )
    assert share_found(store, vectors, where, chosen) > 0.97
    assert sum(scored) < 30 * max(len(chosen) / 2, 31)  # the graphs were asked


def test_graphs_are_kept_and_found_again(store: Store, vectors: np.ndarray, tmp_path: Path) -> None:
    store.update(lasting=True)
    files = sorted((tmp_path / "LOG" / "index").iterdir())
    assert len(files) == 2  # of the parts that will not grow
    reader = open_store(tmp_path / "LOG", identity=None, writable=False)
    assert share_found(reader, vectors, Where(), NUMBERS) > 0.97
    files[0].write_bytes(files[0].read_bytes()[:100])  # damaged: it is made again, not believed
    other = open_store(tmp_path / "LOG", identity=None, writable=False)
    assert share_found(other, vectors, Where(), NUMBERS) > 0.97
    store.forget(2000.0)
    assert not files[0].exists()  # with its part
    assert share_found(reader, vectors, Where(since=2000), NUMBERS[2000:]) > 0.97
    other.close()
    reader.close()


def test_a_search_does_not_wait_for_what_indexes(store: Store, vectors: np.ndarray) -> None:
    store.update()
    taken, found = threading.Event(), threading.Event()

    def index() -> None:
        with ExitStack() as stack:
            for graph in cast(folder_store.FolderStore, store)._neighbours._graphs.values():
                stack.enter_context(graph.turns.index())
            taken.set()
            found.wait(timeout=60)

    thread = threading.Thread(target=index)
    thread.start()
    assert taken.wait(timeout=60)
    try:
        assert share_found(store, vectors, Where(), NUMBERS) > 0.99
        assert thread.is_alive()
    finally:
        found.set()
        thread.join()


@pytest.mark.parametrize("installed", [True, False], ids=["NumKong", "NumPy"])
@pytest.mark.parametrize("length", [1.0, 1e6, 1e-6, 0.0])
def test_cosines_are_those_of_float32(
    length: float, installed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not installed:
        monkeypatch.setattr(products, "_cdist", lambda: None)
    random = np.random.default_rng(2)
    rows = random.normal(size=(3000, 300)).astype(np.float16)
    wanted = (length * random.normal(size=300)).astype(np.float32)
    exact = rows.astype(np.float64) @ wanted.astype(np.float64)
    cosines = products.Cosines(wanted)
    np.testing.assert_allclose(cosines(rows), exact, atol=2e-5 * length, rtol=1e-5)
    some = np.concatenate([random.integers(3000, size=1500), np.arange(1200, 2400)])
    np.testing.assert_allclose(cosines.of(rows, some), exact[some], atol=2e-5 * length, rtol=1e-5)
    assert cosines.of(rows, some[:0]).shape == cosines(rows[:0]).shape == (0,)


ORDER = """
import sys
from vljepa_log import neighbours, open_store
neighbours.FROM_VALUES = 256 * 32
store = open_store(sys.argv[1], identity=None, writable=False)
store.update()
assert not store.behind()
assert "usearch" in sys.modules
import onnxruntime
"""


def test_a_log_may_be_searched_before_a_model_is_loaded(store: Store, tmp_path: Path) -> None:
    """ONNX Runtime behind usearch ends the process, so it comes first."""
    done = subprocess.run([sys.executable, "-c", ORDER, tmp_path / "LOG"], capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
