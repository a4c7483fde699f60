"""The outbox beside a plain list, over restarts, kills, full disks and damage."""

from __future__ import annotations

import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from vljepa_runtime.errors import InputError
from vljepa_runtime.events import Event
from vljepa_runtime.sinks import Outbox, RisingIds
from vljepa_runtime.sinks.network import outbox as outbox_module
from vljepa_runtime.sinks.network import outbox_memory


def segment(number: int) -> Event:
    return Event(stream="door", kind="segment", start_s=number, end_s=number, text=f"{number} мяч")


def numbers(outbox: Outbox, count: int = 10_000) -> list[int]:
    """Of all segments that wait."""
    return [int(entry.event.start_s) for entry in outbox.first(count) if entry.event.kind == "segment"]


@contextmanager
def file_limit(size: int) -> Iterator[None]:
    """A disk on which no file gets larger than this."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_done_it_holds_what_a_list_would(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    outbox, plain, known = Outbox(tmp_path), list[tuple[int, int]](), [0]
    for step in range(150):
        act = rng.choice(["put", "put", "put", "first", "remove", "again", "tidy"])
        if act == "put":
            plain.append((outbox.put(segment(step)), step))
            known.append(plain[-1][0])
        elif act == "first":
            count = rng.randrange(1, 9)
            found = [(entry.id, int(entry.event.start_s)) for entry in outbox.first(count)]
            assert found == plain[:count]
        elif act == "remove" and plain:
            upto = plain[rng.randrange(min(4, len(plain)))][0]
            outbox.remove(upto=upto)
            plain = [pair for pair in plain if pair[0] > upto]
        elif act == "again":
            outbox.close()
            outbox = Outbox(tmp_path)
        elif act == "tidy":
            outbox.tidy()
        assert outbox.waiting == len(plain)
    outbox.close()
    assert known == sorted(set(known))


def test_ids_rise_when_the_clock_is_set_back_and_the_outbox_is_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Outbox(tmp_path) as outbox:
        first = outbox.put(segment(0))
        outbox.remove(upto=first)
    monkeypatch.setattr(time, "time_ns", lambda: 10**18)  # 2001
    with Outbox(tmp_path) as outbox:
        second = outbox.put(segment(1))
        assert second > first
        assert outbox.put(segment(2)) > second


def test_ids_rise_without_any_file(tmp_path: Path) -> None:
    before = RisingIds().next()
    time.sleep(0.001)
    assert RisingIds().next() > before
    assert before < 1 << 53  # exact in every reader of JSON


def test_beyond_its_bound_the_oldest_go_and_a_note_tells_how_many(tmp_path: Path) -> None:
    with Outbox(tmp_path, limit_bytes=20_000) as outbox:
        for number in range(300):
            outbox.put(segment(number))
        entries = outbox.first(1000)
        kept = [int(entry.event.start_s) for entry in entries[1:]]
        assert kept == list(range(300 - len(kept), 300))
        assert outbox.dropped == 300 - len(kept)
        note = entries[0].event
        assert (note.kind, note.stream) == ("status", "door")
        assert f"{300 - len(kept)} events before this one were dropped" in note.text
        assert sum(len(entry.event.to_json().encode()) for entry in entries) <= 20_000
        assert entries[0].id < entries[1].id
    with Outbox(tmp_path) as outbox:  # told of after a restart too, until the note is delivered
        assert outbox.dropped == 300 - len(kept)
        outbox.remove(upto=entries[0].id)
        assert outbox.waiting == len(kept)


def test_its_journal_is_bounded_when_thousands_come_at_once(tmp_path: Path) -> None:
    with Outbox(tmp_path) as outbox:
        for number in range(6000):
            outbox.put(segment(number))
        on_disk = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert on_disk < 24 << 20  # without a bound, 50 MB for 2 MB of events


def test_what_the_receiver_may_have_is_not_dropped(tmp_path: Path) -> None:
    with Outbox(tmp_path, limit_bytes=20_000) as outbox:
        for number in range(20):
            outbox.put(segment(number))
        in_work = outbox.first(5)
        for number in range(20, 300):
            outbox.put(segment(number))
        assert outbox.first(5, upto=in_work[-1].id) == in_work


@pytest.mark.parametrize("damage", ["text", "cut", "torn"])
def test_a_damaged_outbox_is_set_aside(damage: str, tmp_path: Path) -> None:
    with Outbox(tmp_path) as outbox:
        last = [outbox.put(segment(number)) for number in range(200)][-1]
    (file,) = tmp_path.glob("*.db")
    data = file.read_bytes()
    middle = len(data) // 2
    damaged = {
        "text": b"precious notes of somebody",
        "cut": data[:middle],
        "torn": data[: middle - 4000] + bytes(8000) + data[middle + 4000 :],
    }
    file.write_bytes(damaged[damage])
    with Outbox(tmp_path) as outbox:
        assert "damaged" in outbox.trouble
        assert str(file.with_suffix(".damaged")) in outbox.trouble
        assert outbox.waiting == 0
        assert outbox.put(segment(1)) > last
        assert numbers(outbox) == [1]
    assert file.with_suffix(".damaged").read_bytes() == damaged[damage]


def test_damaged_while_it_is_used(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    for number in range(200):
        outbox.put(segment(number))
    outbox.tidy()
    (file,) = tmp_path.glob("*.db")
    with file.open("r+b") as opened:
        opened.write(b"x" * 4096 * 3)
    for number in range(200, 400):
        outbox.put(segment(number))
    outbox.close()
    with Outbox(tmp_path) as outbox:
        found = numbers(outbox)
        assert found == list(range(400 - len(found), 400))


def test_removed_while_it_is_used_it_is_made_again(tmp_path: Path) -> None:
    place = tmp_path / "outbox"
    with Outbox(place) as outbox:
        for number in range(10):
            outbox.put(segment(number))
        entries = outbox.first(10)
        outbox.remove(upto=entries[3].id)
        shutil.rmtree(place)
        outbox.put(segment(10))
        outbox.tidy()
        assert outbox.first(6) == entries[4:]
        outbox.put(segment(11))
    with Outbox(place) as outbox:
        assert numbers(outbox) == list(range(4, 12))


def test_somebody_who_looks_into_it_does_not_hold_up_who_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "RETRY_S", 0.0)
    with Outbox(tmp_path) as outbox:
        outbox.put(segment(0))
        (file,) = tmp_path.glob("*.db")
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        outbox.put(segment(1))
        assert "locked" in outbox.trouble
        assert numbers(outbox) == [0, 1]
        other.execute("ROLLBACK")
        other.close()
        outbox.put(segment(2))
        assert outbox.trouble == ""
    with Outbox(tmp_path) as outbox:
        assert numbers(outbox) == [0, 1, 2]


def test_a_row_that_cannot_be_read_does_not_hold_up_the_others(tmp_path: Path) -> None:
    with Outbox(tmp_path) as outbox:
        for number in range(3):
            outbox.put(segment(number))
    (file,) = tmp_path.glob("*.db")
    rows = sqlite3.connect(file)
    rows.execute("UPDATE waiting SET event = ? WHERE id = (SELECT min(id) FROM waiting)", (b'{"v": 99}',))
    rows.commit()
    rows.close()
    with Outbox(tmp_path) as outbox:
        assert numbers(outbox) == [1, 2]
        assert numbers(outbox) == [1, 2]
        assert (outbox.waiting, outbox.rejected) == (2, 1)


def test_a_full_disk_is_bridged_by_memory_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "RETRY_S", 0.0)
    with Outbox(tmp_path) as outbox:
        for number in range(20):
            outbox.put(segment(number))
        with file_limit(30_000):
            for number in range(20, 400):
                outbox.put(segment(number))
            assert "cannot be written" in outbox.trouble
            assert (outbox.waiting, outbox.dropped) == (400, 0)
            first = outbox.first(50)
            outbox.remove(upto=first[-1].id)  # nor can the disk forget anything
            assert numbers(outbox) == list(range(50, 400))
        outbox.put(segment(400))
        assert outbox.trouble == ""
        assert numbers(outbox) == list(range(50, 401))
    with Outbox(tmp_path) as outbox:
        assert numbers(outbox) == list(range(50, 401))


def test_with_a_full_disk_memory_is_bounded_and_tells_what_it_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_memory, "MEMORY_BYTES", 40_000)
    with Outbox(tmp_path) as outbox, file_limit(30_000):
        for number in range(1000):
            outbox.put(segment(number))
        entries = outbox.first(1000)
        assert sum(len(entry.event.to_json().encode()) for entry in entries) < 40_000 + 30_000
        notes = [entry.event.text for entry in entries if entry.event.kind == "status"]
        assert len(notes) == 1
        assert outbox.dropped == 1000 - (len(entries) - 1)
        assert f"{outbox.dropped} events before this one were dropped" in notes[0]
        assert entries[-1].event == segment(999)


def test_a_disk_that_is_full_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "RETRY_S", 0.0)
    with Outbox(tmp_path) as outbox:
        for number in range(3):
            outbox.put(segment(number))
    with file_limit(0):
        outbox = Outbox(tmp_path)
        for number in range(3, 6):
            outbox.put(segment(number))
        assert "events wait in memory" in outbox.trouble
        assert set(range(3, 6)) <= set(numbers(outbox))
    outbox.tidy()  # there is room again
    assert numbers(outbox) == list(range(6))
    assert outbox.trouble == ""
    outbox.close()


def test_of_two_processes_each_has_its_own_and_the_next_takes_over_both(tmp_path: Path) -> None:
    with Outbox(tmp_path) as one, Outbox(tmp_path) as other:
        for number in range(10):
            (one, other)[number % 2].put(segment(number))
        assert numbers(one) == [0, 2, 4, 6, 8]
        assert one.instance != other.instance
        assert {entry.id for entry in one.first(9)}.isdisjoint(entry.id for entry in other.first(9))
    with Outbox(tmp_path) as outbox:
        assert numbers(outbox) == list(range(10))
    with Outbox(tmp_path) as outbox:
        assert numbers(outbox) == list(range(10))


KILLED = """
import sys
from vljepa_runtime.events import Event
from vljepa_runtime.sinks import Outbox
outbox = Outbox(sys.argv[1])
for number in range(100_000):
    outbox.put(Event(stream="door", kind="segment", start_s=number, end_s=number))
    print(number, flush=True)
"""


def test_a_killed_process_loses_nothing(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        told = [int(process.stdout.readline()) for _ in range(300)]
        process.send_signal(signal.SIGKILL)
        told += [int(line) for line in process.stdout.read().splitlines() if line]
    with Outbox(tmp_path) as outbox:
        found = numbers(outbox, 1_000_000)
        assert found[: len(told)] == told
        assert found == list(range(len(found)))


def test_what_is_refused_is_set_aside_and_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vljepa_runtime.sinks.network.outbox_file.KEPT_REJECTED", 5)
    with Outbox(tmp_path) as outbox:
        for number in range(20):
            outbox.put(segment(number))
        for entry in outbox.first(12):
            outbox.reject(entry, "400 Bad Request")
        assert (outbox.waiting, outbox.rejected) == (8, 12)
        assert numbers(outbox) == list(range(12, 20))
    (file,) = tmp_path.glob("*.db")
    rows = sqlite3.connect(file)
    found = rows.execute("SELECT reason, event FROM rejected ORDER BY id").fetchall()
    rows.close()
    assert [Event.from_json(event.decode()) for _, event in found] == [
        segment(number) for number in range(7, 12)
    ]
    assert {reason for reason, _ in found} == {"400 Bad Request"}


def test_a_place_that_cannot_be_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot keep events in .*file.*: choose another folder"):
        Outbox(tmp_path / "file" / "outbox")
