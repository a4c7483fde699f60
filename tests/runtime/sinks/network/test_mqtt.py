"""The MQTT sink with a real Mosquitto: stopped, absent, asking for a password, with TLS; and the process killed."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import pytest

from vljepa_runtime.errors import InputError, MissingExtraError
from vljepa_runtime.events import Event
from vljepa_runtime.sinks import MqttSink, SinkState
from vljepa_runtime.sinks.network.mqtt_topics import slug


def segment(number: int, stream: str = "door") -> Event:
    return Event(
        stream=stream,
        kind="segment",
        start_s=number,
        end_s=number + 1,
        text=f"{number} ein Bär",
        query="Was?",
        decoded=True,
    )


def begun(stream: str = "door") -> Event:
    return Event(stream=stream, kind="status", text=f"tiny on onnxruntime:cpu reading {stream}")


def starts(events: list[dict[str, Any]]) -> list[int]:
    return [int(event["start_s"]) for event in events]


def test_a_broker_that_is_restarted_gets_every_event_in_order(
    mqtt_broker: ModuleType, broker: Any, subscriber: Any, tmp_path: Path
) -> None:
    states: list[SinkState] = []
    sink = MqttSink(f"mqtt://127.0.0.1:{broker.port}", outbox=tmp_path / "outbox", on_change=states.append)
    for number in range(10):
        sink.write(segment(number))
    assert mqtt_broker.until(lambda: len(subscriber.events()) == 10)
    broker.stop()
    for number in range(10, 40):
        sink.write(segment(number))
    assert mqtt_broker.until(lambda: sink.state.state == "waiting")
    assert sink.state.waiting == 30
    assert "connection refused; 30 events waiting in" in sink.state.sentence or "lost" in sink.state.sentence
    broker.start()
    for number in range(40, 50):
        sink.write(segment(number))
    assert mqtt_broker.until(lambda: len(subscriber.events()) == 50)
    sink.close()
    assert starts(subscriber.events()) == list(range(50))
    ids = [event["id"] for event in subscriber.events()]
    assert ids == sorted(ids)
    assert [state.state for state in states if state.state == "waiting"]
    assert sink.state.waiting == 0


def test_what_is_sent_is_the_event(
    mqtt_broker: ModuleType, broker: Any, subscriber: Any, tmp_path: Path
) -> None:
    event = Event(
        stream="rtsp://***@10.0.0.5/live #2",
        kind="alert",
        text="jemand fällt",
        active=True,
        clip="door-1.mp4",
    )
    with MqttSink(f"mqtt://127.0.0.1:{broker.port}/haus/süd", outbox=tmp_path) as sink:
        sink.write(event)
    topic = f"haus/süd/{slug(event.stream)}/alert"
    assert mqtt_broker.until(lambda: subscriber.last(topic) is not None)
    found = json.loads(subscriber.last(topic))
    number = found.pop("id")
    assert isinstance(number, int)
    assert Event.from_json(json.dumps(found)) == event


@pytest.mark.parametrize("kind", ["segment", "answer", "alert"])
def test_an_event_is_published_once_and_the_last_one_kept_elsewhere(
    kind: Literal["segment", "answer", "alert"],
    mqtt_broker: ModuleType,
    broker: Any,
    subscriber: Any,
    tmp_path: Path,
) -> None:
    with MqttSink(f"mqtt://127.0.0.1:{broker.port}", outbox=tmp_path) as sink:
        for event in (Event(stream="door", kind=kind), Event(stream="door", kind=kind, end_s=1)):
            sink.write(event)
    assert mqtt_broker.until(lambda: len(subscriber.events(kind)) == 2)
    topics = [message.topic for message in subscriber.messages if message.topic.startswith("vljepa/door/")]
    assert topics == [f"vljepa/door/{kind}", f"vljepa/door/{kind}/{kind}"] * 2
    late = mqtt_broker.Subscriber(broker, name="late")
    assert mqtt_broker.until(lambda: len(late.messages) == 3)  # with its discovery and that nobody is there
    assert f"vljepa/door/{kind}" not in [message.topic for message in late.messages]
    late.close()


def test_an_embedding_is_published_and_not_kept(
    mqtt_broker: ModuleType, broker: Any, subscriber: Any, tmp_path: Path
) -> None:
    """Home Assistant takes 16 kB of attributes."""
    with MqttSink(f"mqtt://127.0.0.1:{broker.port}", outbox=tmp_path) as sink:
        sink.write(Event(stream="door", kind="segment", query="what", embedding=(0.6, 0.8)))
    assert mqtt_broker.until(lambda: subscriber.last("vljepa/door/segment/what") is not None)
    assert json.loads(subscriber.last("vljepa/door/segment"))["embedding"] == [0.6, 0.8]
    assert "embedding" not in json.loads(subscriber.last("vljepa/door/segment/what"))


def test_a_broker_that_is_not_there_at_the_start(mqtt_broker: ModuleType, tmp_path: Path) -> None:
    broker = mqtt_broker.Broker(tmp_path / "broker")
    sink = MqttSink(f"mqtt://127.0.0.1:{broker.port}", outbox=tmp_path / "outbox")
    for number in range(5):
        sink.write(segment(number))
    assert mqtt_broker.until(lambda: "connection refused" in sink.state.sentence)
    with broker:
        broker.start()
        subscriber = mqtt_broker.Subscriber(broker)
        assert mqtt_broker.until(lambda: len(subscriber.events()) == 5)
        sink.close()
        subscriber.close()
    assert starts(subscriber.events()) == list(range(5))


def test_a_wrong_password_is_said_and_nothing_is_lost(mqtt_broker: ModuleType, tmp_path: Path) -> None:
    login = ("door", "hunter2/#@:%")
    with mqtt_broker.Broker(tmp_path / "broker", login=login) as broker:
        broker.start()
        states: list[SinkState] = []
        address = "mqtt://door:wr0ng@127.0.0.1"
        with MqttSink(f"{address}:{broker.port}", outbox=tmp_path / "out", on_change=states.append) as sink:
            sink.write(segment(0))
            assert mqtt_broker.until(lambda: sink.state.state == "failed")
            assert sink.state.sentence.startswith("the broker answers: Not authorized; 1 event waiting in ")
        assert "wr0ng" not in repr(states)
        assert sink.state.name == f"mqtt mqtt://***@127.0.0.1:{broker.port}"
        subscriber = mqtt_broker.Subscriber(broker, login=login)
        right = "mqtt://door:hunter2%2F%23%40%3A%25@127.0.0.1"
        with MqttSink(f"{right}:{broker.port}", outbox=tmp_path / "out") as sink:
            assert mqtt_broker.until(lambda: len(subscriber.events()) == 1)
        subscriber.close()
    found = b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert b"hunter2" not in found


@pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl to make a certificate with")
def test_a_certificate_of_ones_own_has_to_be_trusted(
    mqtt_broker: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = tmp_path / "own.crt", tmp_path / "own.key"
    made = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    names = ["-subj", "/CN=broker", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*made, *names, "-out", certificate, "-keyout", key], check=True, capture_output=True)
    with mqtt_broker.Broker(tmp_path / "broker", certificate=(certificate, key)) as broker:
        broker.start()
        address = f"mqtts://127.0.0.1:{broker.port}"
        with MqttSink(address, outbox=tmp_path / "out") as sink:
            sink.write(segment(0))
            assert mqtt_broker.until(lambda: "certificate is not trusted" in sink.state.sentence)
        subscriber = mqtt_broker.Subscriber(broker, tls=str(certificate))
        with MqttSink(address, outbox=tmp_path / "out", authority=certificate):
            assert mqtt_broker.until(lambda: len(subscriber.events()) == 1)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with MqttSink(address, outbox=tmp_path / "out") as sink:
            sink.write(segment(1))
            assert mqtt_broker.until(lambda: len(subscriber.events()) == 2)
        subscriber.close()


KILLED = """
import sys, time
from vljepa_runtime.events import Event
from vljepa_runtime.sinks import MqttSink
address, outbox, first, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
sink = MqttSink(address, outbox=outbox)
sink.announce("door", alerts=["a ball falls"])
sink.write(Event(stream="door", kind="status", text="tiny reading door"))
sink.write(Event(stream="door", kind="alert", text="a ball falls", active=True))
for number in range(first, first + count):
    sink.write(Event(stream="door", kind="segment", start_s=number, end_s=number))
print("written", flush=True)
time.sleep(100)
"""


def test_a_killed_process_is_seen_to_be_gone_and_its_events_are_delivered_by_the_next(
    mqtt_broker: ModuleType, broker: Any, subscriber: Any, tmp_path: Path
) -> None:
    address = f"mqtt://127.0.0.1:{broker.port}"

    @contextmanager
    def killed_after_writing(first: int) -> Iterator[None]:
        """A process that writes 20 events and is killed at the end."""
        arguments = [address, str(tmp_path / "outbox"), str(first), "20"]
        command = [sys.executable, "-c", KILLED, *arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline() == "written\n"
                yield
            finally:
                process.send_signal(signal.SIGKILL)

    def available() -> list[str]:
        return [m.payload.decode() for m in subscriber.messages if m.topic.startswith("vljepa/availability/")]

    def alert() -> bool:
        topic = f"vljepa/door/alert/{slug('a ball falls')}"
        return json.loads(subscriber.last(topic) or "{}").get("active") is True

    with killed_after_writing(0):
        assert mqtt_broker.until(lambda: len(subscriber.events()) == 20 and alert())
        assert available()[-1] == "online"
    assert mqtt_broker.until(lambda: available()[-1] == "offline")  # the last will
    broker.stop()
    with killed_after_writing(20):
        pass
    broker.start()
    with MqttSink(address, outbox=tmp_path / "outbox") as sink:
        sink.announce("door", alerts=["a ball falls"])
        sink.write(begun())
        assert mqtt_broker.until(lambda: len(subscriber.events()) == 40 and not alert())
        assert available()[-1] == "online"
    assert starts(subscriber.events()) == list(range(40))
    assert mqtt_broker.until(lambda: available()[-1] == "offline")
    topics = {m.topic for m in subscriber.messages if m.topic.startswith("vljepa/availability/")}
    assert len(topics) == 1  # the next process is the same one to others


def test_a_broker_that_forgot_everything_is_told_again(mqtt_broker: ModuleType, tmp_path: Path) -> None:
    with mqtt_broker.Broker(tmp_path / "broker") as broker:
        broker.start()
        with MqttSink(f"mqtt://127.0.0.1:{broker.port}", outbox=tmp_path / "outbox") as sink:
            for event in (begun(), segment(0)):
                sink.write(event)
            assert mqtt_broker.until(lambda: sink.state.state == "connected" and not sink.state.waiting)
            broker.stop()
            (tmp_path / "broker" / "mosquitto.db").unlink()
            assert mqtt_broker.until(lambda: sink.state.state == "waiting")
            broker.start()
            assert mqtt_broker.until(lambda: sink.state.state == "connected")
            late = mqtt_broker.Subscriber(broker)
            assert mqtt_broker.until(lambda: late.last("vljepa/door/decodings") == "1")
            assert mqtt_broker.until(lambda: late.last("vljepa/door/availability") == "online")
            assert len([m for m in late.messages if m.topic.startswith("homeassistant/") and m.retained]) == 2
            late.close()


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("a b", "a-b"),
        ("a/b", "a b"),
        ("Tür", "T-r"),
        ("x" * 65, "x" * 66),
        ("", "-"),
        ("#", "+"),
        ("\ud800", "?"),
    ],
)
def test_names_that_look_alike_keep_apart(name: str, other: str) -> None:
    assert slug(name) != slug(other)
    for each in (slug(name), slug(other)):
        assert each
        assert set(each) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
        assert len(each) <= 64


def test_a_plain_name_stays() -> None:
    assert slug("front_door-2") == "front_door-2"


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("broker:1883", "expected an address such as mqtt://HOST:PORT/PREFIX, got broker:1883"),
        ("http://broker", "expected an address such as mqtt"),
        ("mqtt://", "names no host"),
        ("mqtt://door:pa#ss@broker", "cannot be taken apart"),
        ("mqtt://broker/a/%23", r"expected a prefix of topics without"),
        ("mqtt://broker/a\udc80", r"expected a prefix of topics without .* got a\\udc80"),
        ("mqtt://broker/a/+/b", r"expected a prefix of topics without \+ # \? and \$"),
        ("env:NO_SUCH_VARIABLE_HERE", "expected a text in env:NO_SUCH_VARIABLE_HERE, got none"),
        ("file:/no/such/file", "cannot read file:/no/such/file: no such file"),
    ],
)
def test_addresses_that_are_none(address: str, message: str, tmp_path: Path) -> None:
    pytest.importorskip("paho.mqtt.client")
    with pytest.raises(InputError, match=message) as caught:
        MqttSink(address, outbox=tmp_path)
    assert "pa#ss" not in str(caught.value)


def test_without_its_library_the_command_that_brings_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    with pytest.raises(MissingExtraError, match=r"paho-mqtt is not installed: run  pip install .*mqtt"):
        MqttSink("mqtt://broker", outbox=tmp_path)
