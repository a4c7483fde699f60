"""What every network sink of the table keeps, whatever it speaks: here, with nobody who listens."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from vljepa_runtime.events import Event
from vljepa_runtime.sinks import NETWORK_SINKS, NetworkSink, NetworkSinkForm, Sink

ADDRESSES = {  # port 9 of the loopback discards, where anybody listens at all
    "mqtt": "mqtt://door:hunter2@127.0.0.1:9/home",
    "webhook": "http://door:hunter2@127.0.0.1:9/hook?token=hunter2",
}
every_sink = pytest.mark.parametrize("form", NETWORK_SINKS, ids=lambda form: form.option)


def opened(form: NetworkSinkForm, folder: Path) -> NetworkSink:
    if form.option == "mqtt":
        pytest.importorskip("paho.mqtt.client")
    return form.open(ADDRESSES[form.option], outbox=folder)


def events() -> list[Event]:
    kinds = ("status", "segment", "answer", "alert", "error")
    texts = ("", "ein Bär", "\u202e\x1b[31m", "two\nlines")
    return [
        Event(stream=f"s/{text}", kind=kind, text=text, query=text or None)
        for kind in kinds
        for text in texts
    ]


@every_sink
def test_what_is_written_is_kept_and_said_to_wait(form: NetworkSinkForm, tmp_path: Path) -> None:
    told = events()
    with opened(form, tmp_path) as sink:
        assert isinstance(sink, Sink)
        assert not sink.takes_frames
        assert not sink.takes_windows
        for event in told:
            sink.write(event)
        assert sink.state.waiting == len(told)
    assert told == events()
    assert (sink.state.state, sink.state.waiting) == ("waiting", len(told))
    with opened(form, tmp_path) as again:
        assert again.state.waiting == len(told)


@every_sink
def test_a_second_close_does_nothing_and_nor_does_what_comes_after(
    form: NetworkSinkForm, tmp_path: Path
) -> None:
    sink = opened(form, tmp_path)
    sink.write(Event(stream="s", kind="segment"))
    sink.abandon()
    sink.close()
    sink.write(Event(stream="s", kind="segment"))
    assert sink.state.waiting == 1


@every_sink
def test_no_secret_is_told_or_stored(form: NetworkSinkForm, tmp_path: Path) -> None:
    with opened(form, tmp_path) as sink:
        sink.write(Event(stream="s", kind="segment"))
        end_s = time.monotonic() + 10
        while "cannot reach" not in sink.state.sentence and time.monotonic() < end_s:
            time.sleep(0.01)
        assert "cannot reach" in sink.state.sentence
        assert "127.0.0.1:9" in sink.state.name
        assert "hunter2" not in repr(sink.state)
    names = [str(path) for path in tmp_path.rglob("*")]
    contents = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert "hunter2" not in "".join(names)
    assert b"hunter2" not in b"".join(contents)


@every_sink
def test_two_at_once_share_a_folder(form: NetworkSinkForm, tmp_path: Path) -> None:
    with opened(form, tmp_path) as one, opened(form, tmp_path) as other:
        one.write(Event(stream="a", kind="segment"))
        other.write(Event(stream="b", kind="segment"))
        assert (one.state.waiting, other.state.waiting) == (1, 1)
    with opened(form, tmp_path) as both:
        assert both.state.waiting == 2
