"""Stores of a log: whole steps or none, one writer, parts that are replaced under a reader's eyes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from vljepa_log import (
    EVERYTHING,
    WINDOW,
    Batch,
    Contents,
    LogError,
    Position,
    StoredEvent,
    Thumbnail,
    Where,
    folder_store,
    open_store,
)
from vljepa_runtime import Event, InputError

IDENTITY = {"checkpoint": "c0ffee", "preprocessing": "8x96", "embedding_dim": "4"}


def batch(first: int, count: int, *, stream: str = "door", query: str = "q") -> Batch:
    """Windows that can be told apart: window n begins at n seconds and points at n."""
    numbers = np.arange(first, first + count)
    windows = np.zeros(count, WINDOW)
    windows["start_s"], windows["end_s"], windows["time"] = numbers, numbers + 2, 1000 + numbers
    embeddings = np.stack([np.cos(numbers), np.sin(numbers), 0 * numbers, 0 * numbers], axis=1)
    return Batch(stream=stream, query=query, windows=windows, embeddings=embeddings)


def starts(place: Path, where: Where = EVERYTHING) -> list[float]:
    store = open_store(place, identity=None, writable=False)
    try:
        return [float(s) for part in store.parts(where) for s in store.read(part).windows["start_s"]]
    finally:
        store.close()


@pytest.fixture
def writer(tmp_path: Path):
    store = open_store(tmp_path / "LOG", identity=IDENTITY, writable=True)
    yield store
    store.close()


def test_what_is_stored_is_read_back(writer, tmp_path: Path) -> None:
    event = Event(stream="door", kind="segment", start_s=0, end_s=3, text="a ball falls", query="q")
    contents = Contents(
        batches=[batch(0, 3), batch(0, 2, stream="yard")],
        events=[StoredEvent(number=0, time=1003.0, event=event)],
        thumbnails=[Thumbnail(stream="door", at_s=1.0, time=1001.0, jpeg=b"jpeg")],
        positions={"door": Position(at_s=5.0, source="12:34")},
    )
    writer.append(contents)
    writer.append(Contents(batches=[batch(3, 2)]))
    assert starts(tmp_path / "LOG", Where(streams=("door",))) == [0, 1, 2, 3, 4]
    assert [(each.number, each.time, each.event) for each in writer.events()] == [(1, 1003.0, event)]
    assert writer.thumbnail("door", 0.0).jpeg == b"jpeg"
    assert writer.thumbnail("yard", 0.0) is None
    assert writer.positions() == {"door": Position(at_s=5.0, source="12:34")}
    (door,) = writer.parts(Where(streams=("door",)))
    found = writer.read(door)
    assert len(set(found.windows["key"].tolist())) == 5
    np.testing.assert_allclose(found.embeddings, batch(0, 5).embeddings, atol=1e-3)


def test_parts_that_cannot_hold_what_is_meant_are_left_out(writer) -> None:
    writer.append(Contents(batches=[batch(0, 3), batch(100, 3, query="other")]))
    assert [part.query for part in writer.parts(Where(since=1050))] == ["other"]
    assert [part.query for part in writer.parts(Where(until=1050))] == ["q"]
    assert [part.query for part in writer.parts(Where(queries=("q", "more")))] == ["q"]
    assert writer.parts(Where(streams=("none",))) == []


def test_a_full_part_is_followed_by_another(writer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(folder_store, "ROWS", 4)
    for first in range(0, 10, 5):
        writer.append(Contents(batches=[batch(first, 5)]))
    assert [(part.rows, part.sealed) for part in writer.parts()] == [(4, True), (4, True), (2, False)]
    assert starts(tmp_path / "LOG") == list(range(10))


def test_one_writer(writer, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="being written by another process"):
        open_store(tmp_path / "LOG", identity=IDENTITY, writable=True)


@pytest.mark.parametrize("name", IDENTITY)
def test_another_models_log_is_refused(writer, tmp_path: Path, name: str) -> None:
    with pytest.raises(LogError, match=rf"another model \({name} differ\)"):
        open_store(tmp_path / "LOG", identity={**IDENTITY, name: "5"}, writable=False)


def test_what_is_no_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="holds no log"):
        open_store(tmp_path, identity=None, writable=False)
    (tmp_path / "log.sqlite").write_bytes(b"something else entirely" * 100)
    for writable in (False, True):
        with pytest.raises(LogError, match="cannot open"):
            open_store(tmp_path, identity=IDENTITY, writable=writable)


def test_a_step_that_fails_leaves_nothing(writer, tmp_path: Path) -> None:
    writer.append(Contents(batches=[batch(0, 3)]))
    impossible = Thumbnail(stream="door", at_s=0, time=0, jpeg=object())  # type: ignore[arg-type]
    with pytest.raises(LogError, match="cannot write"):
        writer.append(Contents(batches=[batch(3, 3)], thumbnails=[impossible]))
    assert starts(tmp_path / "LOG") == [0, 1, 2]
    writer.append(Contents(batches=[batch(3, 3)]))
    assert starts(tmp_path / "LOG") == [0, 1, 2, 3, 4, 5]


def test_parts_are_replaced_while_somebody_reads_them(writer, tmp_path: Path) -> None:
    writer.append(Contents(batches=[batch(0, 6)]))
    reader = open_store(tmp_path / "LOG", identity=None, writable=False)
    (old,) = reader.parts()
    mapped = reader.read(old)
    writer.replace([old], mapped.take(mapped.windows["start_s"] % 2 == 0))
    assert mapped.windows["start_s"].tolist() == [0, 1, 2, 3, 4, 5]
    (new,) = reader.parts()
    assert reader.read(new).windows["start_s"].tolist() == [0, 2, 4]
    assert not set(reader.read(new).windows["key"].tolist()) & set(mapped.windows["key"].tolist())
    writer.append(Contents(batches=[batch(6, 1)]))
    assert starts(tmp_path / "LOG") == [0, 2, 4, 6]
    writer.replace(writer.parts(), None)
    assert reader.parts() == []
    assert [path.name for path in (tmp_path / "LOG").glob("*.embeddings")] == []
    reader.close()


def test_old_events_are_forgotten(writer) -> None:
    told = [
        StoredEvent(number=0, time=time_s, event=Event(stream="door", kind="segment", query="q"))
        for time_s in (1000.0, 2000.0)
    ]
    writer.append(Contents(events=told, positions={"gone": Position(at_s=1)}))
    writer.forget(1500.0)
    assert [each.time for each in writer.events()] == [2000.0]
    assert writer.positions() == {}


WRITES = """
import sys
sys.path.insert(0, sys.argv[3])
from test_store import IDENTITY, batch
from vljepa_log import Contents, Position, Where, folder_store, open_store
folder_store.ROWS = 64
store = open_store(sys.argv[1], identity=IDENTITY, writable=True)
first = int(store.positions()["door"].at_s) if store.positions() else 0
print("ready", flush=True)
while True:
    store.append(Contents(batches=[batch(first, 7)], positions={"door": Position(at_s=first + 7)}))
    first += 7
    sealed = [part for part in store.parts() if part.sealed]
    if len(sealed) > 3:  # compaction, and retention of nothing that counts
        whole = [store.read(part) for part in sealed]
        from vljepa_log.rows import join
        store.replace(sealed, join(whole))
        store.forget(0.0)
"""


def test_a_killed_writer_leaves_whole_steps(tmp_path: Path) -> None:
    place, rng = tmp_path / "LOG", random.Random(1)
    for _ in range(20):
        with subprocess.Popen(
            [sys.executable, "-c", WRITES, str(place), "", os.path.dirname(__file__)], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            time.sleep(rng.uniform(0.0, 0.1))
            process.send_signal(signal.SIGKILL)
        found = starts(place)
        assert found == list(range(len(found)))  # nothing is torn, missing or there twice
        store = open_store(place, identity=None, writable=False)
        assert store.positions() == ({"door": Position(at_s=len(found))} if found else {})
        assert all(np.isfinite(store.read(part).embeddings).all() for part in store.parts())
        store.close()
    assert len(found) > 100
