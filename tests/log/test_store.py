"""Stores of a log: whole steps or none, one writer, parts that are replaced under a reader's eyes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
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
    Store,
    StoredEvent,
    Thumbnail,
    Where,
    folder_store,
    open_store,
)
from vljepa_runtime import Event, InputError

IDENTITY = {"checkpoint": "c0ffee", "preprocessing": "8x96", "embedding_dim": "4"}


def batch(first: int, count: int, *, stream: str = "door", query: str = "q") -> Batch:
    """Windows that can be told apart: window n begins at n seconds and points at n; each third one was unknown."""
    numbers = np.arange(first, first + count)
    windows = np.zeros(count, WINDOW)
    windows["start_s"], windows["end_s"], windows["time"] = numbers, numbers + 2, 1000 + numbers
    windows["unknown"] = numbers % 3 - 1
    embeddings = np.stack([np.cos(numbers), np.sin(numbers), 0 * numbers, 0 * numbers], axis=1)
    return Batch(stream=stream, query=query, windows=windows, embeddings=embeddings)


def starts(place: Path | str, where: Where = EVERYTHING) -> list[float]:
    store = open_store(place, identity=None, writable=False)
    try:
        return [float(s) for batch in store.windows(where) for s in batch.windows["start_s"]]
    finally:
        store.close()


def missing(*packages: str) -> pytest.MarkDecorator:
    lacking = [name for name in packages if find_spec(name) is None]
    return pytest.mark.skipif(bool(lacking), reason=f"not installed: {', '.join(lacking)}")


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """Address of a server of object storage on this machine, with one bucket."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
    boto3.client("s3", endpoint_url=f"http://{host}:{port}", **keys).create_bucket(Bucket="logs")
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(
    params=[
        "folder",
        pytest.param("lance", marks=missing("lancedb")),
        pytest.param("s3", marks=missing("lancedb", "moto", "boto3", "flask")),
    ]
)
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where each store keeps a log."""
    if request.param != "s3":
        return f"lance:{tmp_path / 'LANCE'}" if request.param == "lance" else str(tmp_path / "LOG")
    for name, value in {
        "AWS_ENDPOINT": request.getfixturevalue("s3"),
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    return f"s3://logs/{tmp_path.name}"


@pytest.fixture
def writer(place: str) -> Iterator[Store]:
    store = open_store(place, identity=IDENTITY, writable=True)
    yield store
    store.close()


def test_what_is_stored_is_read_back(writer: Store, place: str) -> None:
    event = Event(stream="door", kind="segment", start_s=0, end_s=3, text="a ball falls", query="q")
    contents = Contents(
        batches=[batch(0, 3), batch(0, 2, stream="yard")],
        events=[StoredEvent(number=0, time=1003.0, event=event)],
        thumbnails=[Thumbnail(stream="door", at_s=1.0, time=1001.0, jpeg=b"jpeg")],
        positions={("door", "q"): Position(at_s=5.0, source="12:34"), ("yard", "q"): Position(at_s=2.0)},
    )
    writer.append(contents)
    writer.append(Contents(batches=[batch(3, 2)]))
    assert starts(place, Where(streams=("door",))) == [0, 1, 2, 3, 4]
    assert [(each.number > 0, each.time, each.event) for each in writer.events()] == [(True, 1003.0, event)]
    assert writer.thumbnail("door", 0.0).jpeg == b"jpeg"
    assert writer.thumbnail("yard", 0.0) is None
    assert list(writer.thumbnails()) == list(contents.thumbnails)
    assert not list(writer.thumbnails(Where(streams=("yard",))))
    further = {("door", "other"): Position(at_s=1.0), ("door", "q"): Position(at_s=7.0, complete=True)}
    writer.append(Contents(positions=further))
    assert writer.positions() == {**further, ("yard", "q"): Position(at_s=2.0)}
    assert writer.positions(stream="door") == further
    (found,) = writer.windows(Where(streams=("door",)))
    assert len(set(found.windows["key"].tolist())) == 5
    np.testing.assert_allclose(found.embeddings, batch(0, 5).embeddings, atol=1e-3)
    assert found.windows["unknown"].tolist() == [-1, 0, 1, -1, 0]
    nearest = [writer.nearest(row, k=1)[0].unknown for row in batch(0, 3).embeddings]
    assert nearest == [False, None, True]
    assert [(each.stream, each.windows, each.first, each.last) for each in writer.held()] == [
        ("door", 5, 1000, 1004),
        ("yard", 2, 1000, 1001),
    ]


def test_what_is_meant_is_read_and_nothing_else(writer: Store, place: str) -> None:
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
        assert starts(place, where) == expected
    assert [each.time for each in writer.events()] == [10.0, 10.0, 20.0, 30.0]
    assert [each.time for each in writer.events(Where(streams=("door",), since=10, until=30))] == [10.0]


def test_events_come_page_by_page(writer: Store) -> None:
    told = [
        StoredEvent(
            number=0, time=float(n // 600), event=Event(stream="door", kind="segment", start_s=n, end_s=n)
        )
        for n in range(1200)
    ]
    writer.append(Contents(events=told))
    assert [each.event.start_s for each in writer.events()] == list(range(1200))


def test_a_picture_is_found_by_either_time(writer: Store) -> None:
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


def test_a_full_part_is_followed_by_another(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(folder_store, "PART_BYTES", 4 * 2 * 4)
    place = tmp_path / "LOG"
    store = open_store(place, identity=IDENTITY, writable=True)
    for first in range(0, 10, 5):
        store.append(Contents(batches=[batch(first, 5)]))
    store.close()
    assert sorted(path.stat().st_size for path in (tmp_path / "LOG").glob("*.embeddings")) == [16, 32, 32]
    assert starts(place) == list(range(10))


def test_one_writer(writer: Store, place: str) -> None:
    if place.startswith("s3:"):
        pytest.skip("object storage has no lock")
    with pytest.raises(InputError, match="being written by another process"):
        open_store(place, identity=IDENTITY, writable=True)


@pytest.mark.parametrize("name", IDENTITY)
def test_another_models_log_is_refused(writer: Store, place: str, name: str) -> None:
    with pytest.raises(LogError, match=rf"another model \({name} differ\)"):
        open_store(place, identity={**IDENTITY, name: "5"}, writable=False)


def test_what_is_no_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="holds no log"):
        open_store(tmp_path, identity=None, writable=False)
    (tmp_path / "log.sqlite").write_bytes(b"something else entirely" * 100)
    for writable in (False, True):
        with pytest.raises(LogError, match=r"cannot open|does not say|layout"):
            open_store(tmp_path, identity=IDENTITY, writable=writable)


def test_a_step_that_fails_leaves_nothing(writer: Store, place: str) -> None:
    writer.append(Contents(batches=[batch(0, 3)]))
    impossible = Thumbnail(stream="door", at_s=0, time=0, jpeg=object())
    with pytest.raises(LogError, match="cannot write"):
        writer.append(Contents(batches=[batch(3, 3)], thumbnails=[impossible]))
    assert starts(place) == [0, 1, 2]
    writer.append(Contents(batches=[batch(3, 3)]))
    assert starts(place) == [0, 1, 2, 3, 4, 5]


def test_a_log_takes_what_it_wrote_and_not_what_lies_beside_it(tmp_path: Path) -> None:
    place = tmp_path / "LOG"
    with closing(open_store(place, identity=IDENTITY, writable=True)) as store:
        store.append(Contents(batches=[batch(0, 20)]))
        alone = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
        taken = store.bytes()
        assert 0.9 * alone < taken <= alone
        (place / "video").mkdir()
        (place / "video" / "door.mp4").write_bytes(bytes(5_000_000))
        (place / "serve.toml").write_text("# settings")
        assert store.bytes() == taken


def test_what_is_removed_frees_the_disk_and_disturbs_no_reader(writer: Store, place: str) -> None:
    pictures = [Thumbnail(stream="door", at_s=n, time=1000 + n, jpeg=bytes(100_000)) for n in range(20)]
    writer.append(Contents(batches=[batch(0, 20), batch(0, 20, stream="yard")], thumbnails=pictures))
    reader = open_store(place, identity=None, writable=False)
    begun = reader.windows()
    first = next(begun)
    before = writer.bytes()
    assert writer.forget(1018.0) == 36
    writer.tidy()
    if not place.startswith(("lance:", "s3:")):  # which keeps versions for who reads them
        assert before - writer.bytes() > 1_500_000
    assert first.windows["start_s"].tolist() == list(range(20))
    assert next(begun).windows["start_s"].tolist() == list(range(20))
    assert starts(place) == [18, 19, 18, 19]
    assert [each.score for each in reader.nearest(batch(18, 1).embeddings[0], k=1)] == pytest.approx(
        [1], abs=1e-3
    )
    writer.append(Contents(batches=[batch(20, 1)]))
    assert starts(place, Where(streams=("door",))) == [18, 19, 20]
    reader.close()


def test_old_events_are_forgotten_and_what_was_read_stays_known(writer: Store) -> None:
    told = [
        StoredEvent(number=0, time=time_s, event=Event(stream="door", kind="segment", query="q"))
        for time_s in (1000.0, 2000.0)
    ]
    writer.append(Contents(events=told, positions={("gone", "q"): Position(at_s=1, complete=True)}))
    assert writer.forget(1500.0) == 0
    assert [each.time for each in writer.events()] == [2000.0]
    writer.tidy()
    assert writer.positions() == {("gone", "q"): Position(at_s=1, complete=True)}


WRITES = """
import os, sys
sys.path.insert(0, sys.argv[2])
from test_store import IDENTITY, batch
from vljepa_log import Contents, Position, folder_store, open_store
folder_store.ROWS, folder_store.PIECE = 64, 32

def write():
    store = open_store(sys.argv[1], identity=IDENTITY, writable=True)
    first = int(store.positions()["door", "q"].at_s) if store.positions() else 0
    print(os.getpid(), flush=True)
    while True:
        store.append(Contents(batches=[batch(first, 7)], positions={("door", "q"): Position(at_s=first + 7)}))
        first += 7
        if first % 5 == 0:  # retention and compaction
            store.thin(until=1000 + first - 200, within=0.0)
            store.forget(1000 + first - 400)
            store.tidy()

for _ in sys.stdin:
    child = os.fork()
    if not child:
        write()
    os.waitpid(child, 0)
    print("dead", flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(
    ("scheme", "kills", "longest_s"),
    [("", 20, 0.25), pytest.param("lance:", 4, 4.0, marks=missing("lancedb"))],
)
def test_a_killed_writer_leaves_whole_steps(
    tmp_path: Path, scheme: str, kills: int, longest_s: float
) -> None:
    place, rng, end = f"{scheme}{tmp_path / 'LOG'}", random.Random(1), 0
    command = [sys.executable, "-c", WRITES, str(place), os.path.dirname(__file__)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(kills):
            process.stdin.write("\n")
            child = int(process.stdout.readline())
            time.sleep(rng.uniform(0.0, longest_s))
            os.kill(child, signal.SIGKILL)
            assert process.stdout.readline() == "dead\n"
            end = whole_steps(place, after=end)
        process.stdin.close()
    assert end > 0


def whole_steps(place: str, *, after: int) -> int:
    """How far a log goes in which nothing is torn, missing or there twice, up to its last step."""
    try:
        store = open_store(place, identity=None, writable=False)
    except LogError:  # killed before there was a first step
        assert not after
        return 0
    end = int(store.positions()["door", "q"].at_s) if store.positions() else 0
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
