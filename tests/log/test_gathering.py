"""What is indexed away from its log is in it as if it had been indexed there: in one step, the same rows."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import vljepa_runtime as vj
from vljepa_apps.demo.stream import write_video
from vljepa_data.world import Split, make_stream
from vljepa_log import (
    WINDOW,
    Batch,
    Contents,
    LogError,
    LogReader,
    LogWriter,
    Position,
    SourceOrder,
    StoredEvent,
    Thumbnail,
    add_gathered,
    gather_source,
    index_source,
    open_store,
    order_source,
    try_source,
)
from vljepa_log.packing import contents_of, pack_contents, unpack_contents
from vljepa_runtime import InputError


@pytest.fixture(scope="module")
def model() -> vj.Model:
    return vj.load("tiny", threads=1)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("videos")
    for seed in (3, 4):
        stream = make_stream(seed, Split.TEST, minutes=0.15, size=96, fps=8)
        write_video(stream, folder / f"{seed}.mp4", fps=8)
        os.utime(folder / f"{seed}.mp4", (1_700_000_000 + seed,) * 2)
    return [str(folder / f"{seed}.mp4") for seed in (3, 4)]


def rows(log: Path) -> dict[str, object]:
    """Everything that a log's folder holds."""
    found: dict[str, object] = {path.name: path.read_bytes() for path in log.glob("*.[we]*s")}
    with closing(sqlite3.connect(log / "log.sqlite")) as database:
        for table in ("sources", "parts", "holds", "events", "thumbnails", "positions"):
            found[table] = database.execute(f"SELECT * FROM {table}").fetchall()
    return found


def test_what_is_packed_comes_out_as_it_was() -> None:
    random = np.random.default_rng(0)
    windows = np.frombuffer(random.bytes(5 * WINDOW.itemsize), WINDOW)
    embeddings = np.frombuffer(random.bytes(5 * 8), np.float16).reshape(5, 4)
    event = vj.Event(stream="Tür", kind="segment", start_s=0.1, end_s=0.333, text="a “ball”\n", query="q")
    contents = Contents(
        batches=[
            Batch(stream="Tür", query="q?", windows=windows[:3], embeddings=embeddings[:3]),
            Batch(stream="yard", query="q?", windows=windows[::2], embeddings=embeddings[::2]),
        ],
        events=[StoredEvent(number=0, time=1e9 / 3, event=event)],
        thumbnails=[Thumbnail(stream="Tür", at_s=0.1, time=0.3, jpeg=bytes(range(9))),
                    Thumbnail(stream="yard", at_s=0.2, time=1 / 3, jpeg=b"")],
        positions={("Tür", "q?"): Position(at_s=0.1 + 0.2, complete=True, source="5 bytes")},
    )  # fmt: skip
    found, about = unpack_contents(pack_contents(contents, {"engine": "e"}))
    assert about == {"engine": "e"}
    assert (found.events, found.thumbnails) == (contents.events, contents.thumbnails)
    assert found.positions == contents.positions
    for one, other in zip(found.batches, contents.batches, strict=True):
        assert (one.stream, one.query) == (other.stream, other.query)
        assert one.windows.tobytes() == other.windows.tobytes()
        assert one.embeddings.tobytes() == other.embeddings.tobytes()


@pytest.mark.parametrize(
    "spoil", [lambda data: data[:-1], lambda data: b"", lambda data: data.replace(b"told", b"tolt")]
)
def test_what_is_damaged_is_told(spoil: object) -> None:
    packed = pack_contents(Contents(positions={("door", "q"): Position(at_s=1)}), {})
    with pytest.raises(LogError, match="a file is damaged"):
        unpack_contents(spoil(packed), name="a file")  # type: ignore[operator]


def test_gathered_rows_are_those_of_one_process(tmp_path: Path, model: vj.Model, videos: list[str]) -> None:
    with LogWriter(tmp_path / "HERE", model.bundle.manifest, boundaries=model.boundaries) as log:
        told = [index_source(model, video, log) for video in videos]
    asked = {"query": model.prompts["caption"]}
    with LogWriter(tmp_path / "THERE", model.bundle.manifest) as log:
        orders = {video: order_source(log, video, **asked) for video in videos}
        gathered = {video: gather_source(model, orders[video], **asked) for video in reversed(videos)}
        assert [add_gathered(log, gathered[video])[0] for video in videos] == told
        again = [order_source(log, video, **asked) for video in videos]
        assert again == [replace(each, windows=0, skipped=True) for each in told]
    assert rows(tmp_path / "THERE") == rows(tmp_path / "HERE")
    with LogReader(tmp_path / "HERE") as log:
        assert sum(each.windows for each in log.streams()) == sum(each.windows for each in told) > 10


def test_what_the_log_holds_is_not_gathered_again(tmp_path: Path, model: vj.Model, videos: list[str]) -> None:
    (video, _) = videos
    for name in ("HERE", "THERE"):
        with LogWriter(tmp_path / name, model.bundle.manifest) as log:
            index_source(model, video, log, max_seconds=4.0)
            if name == "HERE":
                index_source(model, video, log)
                continue
            order = order_source(log, video, query=model.prompts["caption"])
            assert [*order.positions] == [model.prompts["caption"]]
            rest = gather_source(model, order)
            assert 0 < add_gathered(log, rest)[0].windows
    stores = [open_store(tmp_path / name, identity=None, writable=False) for name in ("HERE", "THERE")]
    for one, other in zip(*(contents_of(store).batches for store in stores), strict=True):
        assert one.windows["end_s"].tolist() == other.windows["end_s"].tolist()
        assert one.embeddings.tobytes() == other.embeddings.tobytes()
    for store in stores:
        store.close()


def test_another_file_under_the_name_is_not_taken(tmp_path: Path, model: vj.Model, videos: list[str]) -> None:
    missing = str(tmp_path / "none.mp4")
    elsewhere, gone = (
        gather_source(model, SourceOrder(source=name, stream=name, origin="7 bytes of 1"))
        for name in (videos[0], missing)
    )
    with LogWriter(tmp_path / "LOG", model.bundle.manifest) as log:
        assert "7 bytes of 1 where the log is" in add_gathered(log, elsewhere)[0].error
        assert add_gathered(log, gone)[0].error == try_source(model, missing, log).error != ""
        assert order_source(log, missing, query="q").error == try_source(model, missing, log).error
        with pytest.raises(InputError, match="is indexed where the log is"):
            order_source(log, "0", query="q")
        assert not log.store.held()
