"""What Home Assistant is told over a real Mosquitto, held to what its documentation asks for."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

from vljepa_runtime.events import Event
from vljepa_runtime.sinks import MqttSink
from vljepa_runtime.sinks.network.mqtt_topics import slug

# What https://www.home-assistant.io/integrations/mqtt/ and sensor.mqtt, binary_sensor.mqtt there say is required, by
# component; `device` needs "at least one of identifiers or connections" and works "when unique_id is set".
REQUIRED = {
    "sensor": {"state_topic": str, "unique_id": str, "device": dict, "origin": dict},
    "binary_sensor": {"state_topic": str, "unique_id": str, "device": dict, "origin": dict},
}
REQUIRED_INSIDE = {
    "origin": {"name": str},  # "Adding information about the origin of a discovery message"
    "availability": {"topic": str},
    "device": {"identifiers": list},
}
KNOWN = {  # options of these pages that the sink uses; anything else Home Assistant ignores
    "availability", "availability_mode", "device", "entity_category", "icon", "json_attributes_topic", "name",
    "origin", "payload_off", "payload_on", "qos", "state_class", "state_topic", "unique_id", "value_template",
}  # fmt: skip
TOPIC = r"homeassistant/(sensor|binary_sensor)/([a-zA-Z0-9_-]+)/config"


def spoken(stream: str) -> list[Event]:
    """A stream begins, says something, and answers."""
    return [
        Event(stream=stream, kind="status", text=f"tiny on onnxruntime:cpu reading {stream}"),
        Event(stream=stream, kind="segment", text="ein Bär", query="Was?", decoded=True),
        Event(stream=stream, kind="answer", query="Is it open?", text="open", score=0.5),
    ]


def test_home_assistant_is_told_all_that_it_requires(
    mqtt_broker: ModuleType, broker: Any, subscriber: Any, tmp_path: Path
) -> None:
    """Each entity's state topic has a state, and what templates read of it is there."""
    with MqttSink(f"mqtt://127.0.0.1:{broker.port}/home", outbox=tmp_path) as sink:
        for stream in ("door", "Hof & Garten/2"):
            sink.announce(stream, alerts=["somebody falls"])
            for event in spoken(stream):
                sink.write(event)
    assert mqtt_broker.until(lambda: subscriber.last("home/door/answer/" + slug("Is it open?")) is not None)
    assert mqtt_broker.until(lambda: any(m.payload == b"offline" for m in subscriber.messages))
    told = [m for m in subscriber.messages if m.topic.startswith("homeassistant/")]
    entities = {}
    for message in told:
        match = re.fullmatch(TOPIC, message.topic)
        assert match is not None
        component, payload = match[1], json.loads(message.payload)
        for place, fields in {"": REQUIRED[component], **REQUIRED_INSIDE}.items():
            found = payload[place] if place else payload
            for part in found if isinstance(found, list) else [found]:
                assert {name: type(part[name]) for name in fields} == fields
        assert payload.keys() <= KNOWN
        assert not {"availability", "availability_topic"} <= payload.keys()  # "must not be used together"
        assert match[2] == payload["unique_id"]  # "best practice"
        assert payload["device"]["identifiers"]
        assert subscriber.last(payload["state_topic"]) is not None
        for topic in (each["topic"] for each in payload["availability"]):
            assert subscriber.last(topic) in ("online", "offline")
        entities[payload["unique_id"]] = (payload["device"]["name"], component, payload["name"])
    assert len(entities) == len(told)
    assert sorted(each for each in entities.values() if each[0] == "door") == [
        ("door", "binary_sensor", "somebody falls"),
        ("door", "sensor", "Is it open?"),
        ("door", "sensor", "decodings"),
        ("door", "sensor", "sentence"),
    ]
    assert len({json.loads(m.payload)["device"]["identifiers"][0] for m in told}) == 2


def test_alerts_that_come_and_go_are_told(
    mqtt_broker: ModuleType, broker: Any, subscriber: Any, tmp_path: Path
) -> None:
    def told() -> dict[str, str]:
        """By its name, the state of each alert that Home Assistant has."""
        configs = {m.topic: m.payload for m in subscriber.messages if "/binary_sensor/" in m.topic}
        found = [json.loads(payload) for payload in configs.values() if payload]
        assert {each["device"]["name"] for each in found} <= {"Die Tür"}
        states = {each["name"]: json.loads(subscriber.last(each["state_topic"]) or "{}") for each in found}
        return {name: state.get("active") for name, state in states.items()}

    with MqttSink(f"mqtt://127.0.0.1:{broker.port}", outbox=tmp_path) as sink:
        sink.announce("door", name="Die Tür", alerts=["a ball", "a cat"])
        sink.write(spoken("door")[0])
        sink.write(Event(stream="door", kind="alert", text="a ball", active=True))
        assert mqtt_broker.until(lambda: told() == {"a ball": True, "a cat": False})
        sink.announce("door", name="Die Tür", alerts=["a dog", "a ball"])
        sink.write(spoken("door")[1])
        assert mqtt_broker.until(lambda: told() == {"a ball": True, "a dog": False})  # still on
    late = mqtt_broker.Subscriber(broker, name="late")
    assert mqtt_broker.until(lambda: any("a-dog" in m.topic for m in late.messages))
    assert not [m for m in late.messages if "a-cat" in m.topic]
    late.close()
