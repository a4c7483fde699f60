"""What Home Assistant's MQTT integration has to be told of an entity, so that it shows up by itself.

The fields are those of https://www.home-assistant.io/integrations/mqtt/ (discovery payload of a single component),
`sensor.mqtt` and `binary_sensor.mqtt` there; all versions since 2021.4 read them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vljepa_runtime.novelty import NOTHING_KNOWN
from vljepa_runtime.version import __version__

__all__ = ["Entity", "discovery"]

LONGEST = 255  # characters that a state of Home Assistant may have


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """One thing that Home Assistant shows of a stream.

    Attributes:
        kind: `segment`, `answer`, `alert` or `decodings`.
        name: What people call it.
        unique_id: The same after a restart, another one for everything else.
        state_topic: Where its state comes.
        availability: Topics that must all say `online`.
        device_id: Of the stream.
        device_name: What people call the stream.
    """

    kind: str
    name: str
    unique_id: str
    state_topic: str
    availability: tuple[str, ...]
    device_id: str
    device_name: str


_WORDS = {
    "component": "sensor",
    "value_template": "{{ (value_json.text or ("
    f"'{NOTHING_KNOWN}' if value_json.unknown else 'none'))[:{LONGEST}] }}}}",
    "json_attributes": True,
}
_KINDS: dict[str, dict[str, Any]] = {
    "segment": {**_WORDS, "icon": "mdi:text-box-outline"},
    "answer": {**_WORDS, "icon": "mdi:tag-text-outline"},
    "alert": {
        "component": "binary_sensor",
        "value_template": "{{ 'ON' if value_json.active else 'OFF' }}",
        "json_attributes": True,
        "payload_on": "ON",
        "payload_off": "OFF",
    },
    "decodings": {
        "component": "sensor",
        "icon": "mdi:counter",
        "state_class": "total_increasing",
        "entity_category": "diagnostic",
    },
}


def discovery(entity: Entity) -> tuple[str, dict[str, Any]]:
    """The component that an entity is of, and the payload for its topic."""
    own = dict(_KINDS[entity.kind])
    component, has_attributes = own.pop("component"), own.pop("json_attributes", False)
    payload = {
        "name": entity.name[:LONGEST],
        "unique_id": entity.unique_id,
        "state_topic": entity.state_topic,
        **own,
        "qos": 1,
        "availability": [{"topic": topic} for topic in entity.availability],
        "availability_mode": "all",
        "device": {
            "identifiers": [entity.device_id],
            "name": entity.device_name,
            "manufacturer": "vljepa-edge",
            "model": "VL-JEPA stream",
            "sw_version": __version__,
        },
        "origin": {"name": "vljepa-edge", "sw_version": __version__},
    }
    if has_attributes:
        payload["json_attributes_topic"] = entity.state_topic
    return component, payload
