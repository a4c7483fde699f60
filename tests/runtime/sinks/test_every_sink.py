"""What every sink of the table keeps, whatever it writes: the contract of `sinks/protocol.py`."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from vljepa_runtime.errors import InputError
from vljepa_runtime.events import Event
from vljepa_runtime.sinks import SINKS, Sink, SinkForm
from vljepa_runtime.sources import Frame

every_sink = pytest.mark.parametrize("form", SINKS, ids=lambda form: form.option)

TEXTS = (
    "a ball",
    "",
    "ein Bär",
    "мяч 何 👩\u200d👩\u200d👧",
    "\u202eturned",
    "two\nlines\r\n-->",
    "half \ud800",
    "\x1b[31mred",
)


def events(count: int = 40) -> list[Event]:
    """Of two questions and of every kind, out of order, with texts from anywhere."""
    rng = random.Random(7)
    kinds = ("segment", "answer", "alert", "status", "error")
    return [
        Event(
            stream="s",
            kind=rng.choice(kinds),  # type: ignore[arg-type]
            start_s=(start_s := rng.randrange(0, 30) / 2),
            end_s=start_s + rng.choice([0, 0.7, 30]),
            text=rng.choice(TEXTS),
            query=rng.choice([None, "What is it?"]),
        )
        for _ in range(count)
    ]


def fill(sink: Sink, told: list[Event]) -> None:
    """Give it these events, and frames where it wants them."""
    for index, event in enumerate(told):
        if sink.takes_frames:
            image = np.full((48, 64, 3), index, np.uint8)
            sink.write_frame(Frame(image=image, time_s=index / 10, index=index))
        sink.write(event)


@every_sink
def test_events_of_every_kind_make_a_file_that_grows_on_the_way(form: SinkForm, tmp_path: Path) -> None:
    path, told = tmp_path / "out", events()
    with form.open(path, overwrite=False) as sink:
        assert isinstance(sink, Sink)
        fill(sink, [Event(stream="s", kind="segment", text="a ball"), *told[:10]])
        begun = path.stat().st_size
        fill(sink, told[10:])
    assert path.stat().st_size > begun >= 0
    assert list(tmp_path.iterdir()) == [path]


@every_sink
def test_an_event_is_not_changed(form: SinkForm, tmp_path: Path) -> None:
    told = events()
    with form.open(tmp_path / "out", overwrite=False) as sink:
        fill(sink, told)
    assert told == events()


@every_sink
@pytest.mark.parametrize("count", [0, 5])
def test_a_second_close_does_nothing(form: SinkForm, count: int, tmp_path: Path) -> None:
    path = tmp_path / "out"
    sink = form.open(path, overwrite=False)
    fill(sink, events(count))
    sink.close()
    written = path.read_bytes() if path.exists() else None
    sink.close()
    sink.abandon()
    assert (path.read_bytes() if path.exists() else None) == written
    assert list(tmp_path.iterdir()) == ([] if written is None else [path])


@every_sink
@pytest.mark.parametrize("before", [None, "precious"], ids=["no file", "a file"])
def test_abandoned_before_the_first_event_it_leaves_what_was_there(
    form: SinkForm, before: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "out"
    if before:
        path.write_text(before)
    with pytest.raises(KeyError), form.open(path, overwrite=True) as sink:
        raise KeyError
    sink.close()
    assert [(file, file.read_text()) for file in tmp_path.iterdir()] == ([(path, before)] if before else [])


@every_sink
def test_abandoned_later_it_keeps_what_it_has(form: SinkForm, tmp_path: Path) -> None:
    path = tmp_path / "out"
    sink = form.open(path, overwrite=False)
    fill(sink, [Event(stream="s", kind="segment", text="a ball"), *events()])
    sink.abandon()
    sink.close()
    assert path.stat().st_size > 0
    assert list(tmp_path.iterdir()) == [path]


@every_sink
def test_a_file_is_replaced_only_when_told(form: SinkForm, tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("precious")
    with pytest.raises(InputError, match="exists: choose another name or pass --force"):
        form.open(path, overwrite=False)
    assert path.read_text() == "precious"
    with form.open(path, overwrite=True) as sink:
        fill(sink, events())
    assert path.read_bytes()[:8] != b"precious"


@every_sink
def test_a_place_that_cannot_be_written_is_named(form: SinkForm, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere does not exist"):
        form.open(tmp_path / "nowhere" / "out", overwrite=False)
    with pytest.raises(InputError, match="is a folder"):
        form.open(tmp_path, overwrite=False)
