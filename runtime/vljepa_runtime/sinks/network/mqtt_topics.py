"""What is published of an event: where, and what stays there for who comes later. Knows no client."""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from vljepa_runtime.events import Event
from vljepa_runtime.printable import json_text
from vljepa_runtime.sinks.network.home_assistant import Entity, discovery
from vljepa_runtime.sinks.network.outbox_rows import OutboxEntry

__all__ = ["Message", "Topics", "slug"]

OFFLINE, ONLINE = "offline", "online"
MAX_SLUG = 64
MAX_KEPT = 4096  # retained messages that are sent again to a broker that lost them
_PLAIN = re.compile(rf"[A-Za-z0-9_-]{{1,{MAX_SLUG}}}")


@dataclass(frozen=True, slots=True)
class Message:
    """What is published.

    Attributes:
        topic: Where.
        payload: Text.
        retain: Whether the broker keeps it for who subscribes later.
    """

    topic: str
    payload: str
    retain: bool = False


@lru_cache(maxsize=MAX_KEPT)
def slug(name: str) -> str:
    """A name as one level of a topic and part of an identifier: letters, digits, `_` and `-`.

    Where that changes it, a few digits of its hash tell it from other names that look alike then.
    """
    if _PLAIN.fullmatch(name):
        return name
    plain = re.sub(r"[^A-Za-z0-9_]+", "-", name).strip("-")[: MAX_SLUG // 2].rstrip("-")
    return "-".join(
        filter(None, (plain, hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]))
    )


class Topics:
    """Turns events into messages, and remembers what a broker has to keep.

    Args:
        prefix: First levels of every topic.
        node: Names this process among those with the same prefix, and the one that follows it the same.
        discovery_prefix: Where Home Assistant looks; empty where it is not to be told.
        first_id: Events before it are of processes that ended.
    """

    def __init__(self, prefix: str, *, node: str, discovery_prefix: str, first_id: int) -> None:
        self.prefix = prefix
        self.available = f"{prefix}/availability/{slug(node)}"
        self._discovery_prefix = discovery_prefix
        self._kept: OrderedDict[str, Message] = OrderedDict()
        self._announced: set[str] = set()  # topics of alerts
        self._configs: dict[str, str] = {}  # where Home Assistant was told of the state on a topic
        self._names: dict[str, str] = {}
        self._alerts: dict[str, Sequence[str]] = {}  # to be told at the next event
        self._first_id = first_id
        self._counted = 0  # the last event whose decoding is in these
        self._decodings: dict[str, int] = {}
        self._sentences: dict[str, str | None] = {}

    def announce(self, stream: str, name: str, alerts: Sequence[str]) -> None:
        """Expect a stream with these alerts; they are told at its next event."""
        self._names[stream] = name
        self._alerts[stream] = tuple(alerts)

    def kept(self) -> list[Message]:
        """What a broker that begins with nothing has to know, as it was told last."""
        return list(self._kept.values())

    def messages(self, entry: OutboxEntry) -> list[Message]:
        """All that is published of an event, in order."""
        found = list(self._messages(entry))
        for message in found:
            if message.retain and message.payload:
                self._kept[message.topic] = message
            elif message.retain:
                self._kept.pop(message.topic, None)
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return found

    def _messages(self, entry: OutboxEntry) -> Iterator[Message]:
        event = entry.event
        kind = "status" if event.kind == "error" else event.kind
        if entry.id >= self._first_id and (alerts := self._alerts.pop(event.stream, None)) is not None:
            yield from self._changes(event.stream, alerts)
        yield Message(self._topic(event.stream, kind), entry.to_json())
        if event.kind in ("segment", "answer", "alert"):
            key = (event.text if event.kind == "alert" else event.query) or event.kind
            yield from self._state(event.stream, kind, key, _without_embedding(entry).to_json())
        if event.decoded and entry.id > self._counted:
            self._counted = entry.id
            count = self._decodings[event.stream] = self._decodings.get(event.stream, 0) + 1
            yield from self._state(event.stream, "decodings", "", str(count))
        if (available := _availability(event)) is not None:
            yield Message(self._topic(event.stream, "availability"), available, retain=True)

    def _changes(self, stream: str, alerts: Sequence[str]) -> Iterator[Message]:
        """Alerts that are new, of which a process that was killed may have left one on; those that are no more."""
        begin = f"{self._topic(stream, 'alert')}/"
        topics = {f"{begin}{slug(text)}": text for text in alerts}
        for topic in [topic for topic in self._kept if topic.startswith(begin) and topic not in topics]:
            self._announced.discard(topic)
            yield Message(topic, "", retain=True)
            if (config := self._configs.pop(topic, None)) is not None:
                yield Message(config, "", retain=True)
        for topic, text in topics.items():
            if topic not in self._announced:
                self._announced.add(topic)
                yield from self._state(stream, "alert", text, json_text({"active": False, "text": text}))

    def _state(self, stream: str, kind: str, key: str, payload: str) -> Iterator[Message]:
        """The last of its kind, and before it, once, what Home Assistant has to know of it."""
        topic = self._topic(stream, kind) + (f"/{slug(key)}" if key else "")
        if self._discovery_prefix and topic not in self._kept:
            config = self._discovery(stream, kind, key, topic)
            self._configs[topic] = config.topic
            yield config
        yield Message(topic, payload, retain=True)

    def _discovery(self, stream: str, kind: str, key: str, topic: str) -> Message:
        name = key or kind
        if kind == "segment" and self._sentences.setdefault(stream, key) == key:
            name = "sentence"
        identity = f"{slug(self.prefix)}-{slug(stream)}"
        entity = Entity(
            kind=kind,
            name=name,
            unique_id="-".join(filter(None, ("vljepa", identity, kind, slug(key) if key else ""))),
            state_topic=topic,
            availability=(self.available, self._topic(stream, "availability")),
            device_id=f"vljepa-{identity}",
            device_name=self._names.get(stream, stream),
        )
        component, payload = discovery(entity)
        return Message(
            f"{self._discovery_prefix}/{component}/{entity.unique_id}/config", json_text(payload), retain=True
        )

    def _topic(self, stream: str, kind: str) -> str:
        return f"{self.prefix}/{slug(stream)}/{kind}"


def _without_embedding(entry: OutboxEntry) -> OutboxEntry:
    """What Home Assistant has room for."""
    if entry.event.embedding is None:
        return entry
    event = replace(entry.event, embedding=None)
    return OutboxEntry(entry.id, event, event.to_json())


def _availability(event: Event) -> str | None:
    """Whether a stream gives pictures, as far as this event says anything of that."""
    if event.kind == "error" or (event.kind == "status" and event.text.startswith("reconnecting:")):
        return OFFLINE
    if event.kind == "status" and not event.text.startswith("warning:"):
        return ONLINE
    return None
