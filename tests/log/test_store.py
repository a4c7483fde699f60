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


def starts(place: Path | str, where: Where = EVERYTHING) -> list[float]:
    store = open_store(place, identity=None, writable=False)
    try:
        return [float(s) for batch in store.windows(where) for s in batch.windows["start_s"]]
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
    (found,) = writer.windows(Where(streams=("door",)))
    assert len(set(found.windows["key"].tolist())) == 5
    np.testing.assert_allclose(found.embeddings, batch(0, 5).embeddings, atol=1e-3)
    assert [(each.stream, each.windows, each.first, each.last) for each in writer.held()] == [
        ("door", 5, 1000, 1004),
        ("yard", 2, 1000, 1001),
    ]


def test_what_is_meant_is_read_and_nothing_else(writer, tmp_path: Path) -> None:
    writer.append(Contents(batches=[batch(0, 3), batch(1, 3, query="other"), batch(2, 3, stream="yard")]))
    told = [
        StoredEvent(number=0, time=time_s, event=Event(stream=stream, kind="segment", query="q"))
        for time_s, stream in ((30.0, "door"), (10.0, "door"), (20.0, "yard"), (10.0, "yard"))
    ]
    writer.append(Contents(events=told))
    for where, expected in (
        (Where(since=1001, until=1003), [1, 2, 1, 2, 2]),
        (Where(queries=("other", "none")), [1, 2, 3]),
        (Where(streams=("yard",), since=1003), [3, 4]),
        (Where(streams=("none",)), []),
        (Where(since=2000), []),
    ):
        assert starts(tmp_path / "LOG", where) == expected
    assert [each.time for each in writer.events()] == [10.0, 10.0, 20.0, 30.0]
    assert [each.time for each in writer.events(Where(streams=("door",), since=10, until=30))] == [10.0]


def test_events_come_page_by_page(writer) -> None:
    told = [
        StoredEvent(
            number=0, time=float(n // 600), event=Event(stream="door", kind="segment", start_s=n, end_s=n)
        )
        for n in range(1200)
    ]
    writer.append(Contents(events=told))
    assert [each.event.start_s for each in writer.events()] == list(range(1200))


def test_a_picture_is_found_by_either_time(writer) -> None:
    """A camera that was started twice has two moments at each second of its streams."""
    pictures = [
        Thumbnail(stream="door", at_s=at_s, time=run + at_s, jpeg=f"{run}:{at_s}".encode())
        for run in (1000, 2000)
        for at_s in (0, 10, 20)
    ]
    writer.append(Contents(thumbnails=pictures))
    assert writer.thumbnail("door", 12.0).at_s == 10
    assert writer.thumbnail("door", 99.0).at_s == 20
    for run in (1000, 2000):
        assert writer.thumbnail("door", 14.0, time=run + 14.0).jpeg == f"{run}:10".encode()


def test_a_full_part_is_followed_by_another(writer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(folder_store, "ROWS", 4)
    for first in range(0, 10, 5):
        writer.append(Contents(batches=[batch(first, 5)]))
    assert sorted(path.stat().st_size for path in (tmp_path / "LOG").glob("*.embeddings")) == [16, 32, 32]
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
        with pytest.raises(LogError, match=r"cannot open|does not say|layout"):
            open_store(tmp_path, identity=IDENTITY, writable=writable)


def test_a_step_that_fails_leaves_nothing(writer, tmp_path: Path) -> None:
    writer.append(Contents(batches=[batch(0, 3)]))
    impossible = Thumbnail(stream="door", at_s=0, time=0, jpeg=object())  # type: ignore[arg-type]
    with pytest.raises(LogError, match="cannot write"):
        writer.append(Contents(batches=[batch(3, 3)], thumbnails=[impossible]))
    assert starts(tmp_path / "LOG") == [0, 1, 2]
    writer.append(Contents(batches=[batch(3, 3)]))
    assert starts(tmp_path / "LOG") == [0, 1, 2, 3, 4, 5]


def test_what_is_removed_frees_the_disk_and_disturbs_no_reader(writer, tmp_path: Path) -> None:
    pictures = [Thumbnail(stream="door", at_s=n, time=1000 + n, jpeg=bytes(100_000)) for n in range(20)]
    writer.append(Contents(batches=[batch(0, 20), batch(0, 20, stream="yard")], thumbnails=pictures))
    reader = open_store(tmp_path / "LOG", identity=None, writable=False)
    begun = reader.windows()
    first = next(begun)
    before = writer.bytes()
    assert writer.forget(1018.0) == 36
    writer.tidy()
    assert before - writer.bytes() > 1_500_000
    assert first.windows["start_s"].tolist() == list(range(20))
    assert next(begun).windows["start_s"].tolist() == list(range(20))
    assert starts(tmp_path / "LOG") == [18, 19, 18, 19]
    assert [each.score for each in reader.nearest(batch(18, 1).embeddings[0], k=1)] == pytest.approx(
        [1], abs=1e-3
    )
    writer.append(Contents(batches=[batch(20, 1)]))
    assert starts(tmp_path / "LOG", Where(streams=("door",))) == [18, 19, 20]
    reader.close()


def test_old_events_are_forgotten_and_what_was_read_stays_known(writer) -> None:
    told = [
        StoredEvent(number=0, time=time_s, event=Event(stream="door", kind="segment", query="q"))
        for time_s in (1000.0, 2000.0)
    ]
    writer.append(Contents(events=told, positions={"gone": Position(at_s=1, complete=True)}))
    assert writer.forget(1500.0) == 0
    assert [each.time for each in writer.events()] == [2000.0]
    assert writer.positions() == {"gone": Position(at_s=1, complete=True)}


WRITES = """
import os, sys
sys.path.insert(0, sys.argv[2])
from test_store import IDENTITY, batch
from vljepa_log import Contents, Position, folder_store, open_store
folder_store.ROWS, folder_store.PIECE = 64, 32

def write():
    store = open_store(sys.argv[1], identity=IDENTITY, writable=True)
    first = int(store.positions()["door"].at_s) if store.positions() else 0
    while True:
        store.append(Contents(batches=[batch(first, 7)], positions={"door": Position(at_s=first + 7)}))
        first += 7
        if first % 5 == 0:  # retention and compaction
            store.thin(until=1000 + first - 200, within=0.0)
            store.forget(1000 + first - 400)
            store.tidy()

for _ in sys.stdin:
    child = os.fork()
    if not child:
        write()
    print(child, flush=True)
    os.waitpid(child, 0)
    print("dead", flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_killed_writer_leaves_whole_steps(tmp_path: Path) -> None:
    place, rng, end = tmp_path / "LOG", random.Random(1), 0
    command = [sys.executable, "-c", WRITES, str(place), os.path.dirname(__file__)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(20):
            process.stdin.write("\n")
            child = int(process.stdout.readline())
            time.sleep(rng.uniform(0.0, 0.25))
            os.kill(child, signal.SIGKILL)
            assert process.stdout.readline() == "dead\n"
            end = whole_steps(place, after=end)
        process.stdin.close()
    assert end > 0


def whole_steps(place: Path, *, after: int) -> int:
    """How far a log goes in which nothing is torn, missing or there twice, up to its last step."""
    if not (place / folder_store.FILE).exists():
        return 0
    try:
        store = open_store(place, identity=None, writable=False)
    except LogError:  # killed before there was a first step
        assert not after
        return 0
    end = int(store.positions()["door"].at_s) if store.positions() else 0
    found = starts(place)
    assert found == list(range(end - len(found), end))
    assert len(found) >= min(end, 400 - 35)
    assert end >= after
    for each in store.windows():
        first, last = each.windows["start_s"][[0, -1]].astype(int)
        assert len(each) == last - first + 1
        np.testing.assert_allclose(each.embeddings, batch(first, len(each)).embeddings, atol=1e-3)
    store.close()
    return end
