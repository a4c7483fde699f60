"""Events to an MQTT broker (3.1.1, QoS 1), with a last will and what Home Assistant needs to show them by itself."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from vljepa_runtime.errors import InputError, MissingExtraError
from vljepa_runtime.printable import plain_reason, printable
from vljepa_runtime.redaction import redact
from vljepa_runtime.sinks.network.addresses import receiver_address, trusted
from vljepa_runtime.sinks.network.delivery import NetworkSink
from vljepa_runtime.sinks.network.mqtt_topics import OFFLINE, ONLINE, Message, Topics
from vljepa_runtime.sinks.network.outbox import Outbox
from vljepa_runtime.sinks.network.outbox_rows import OutboxEntry
from vljepa_runtime.sinks.network.state import SinkState
from vljepa_runtime.sinks.network.transport import DeliveryError
from vljepa_runtime.sources.live.deadline import SLICE_S, ConnectionLostError, Deadline

if TYPE_CHECKING:
    from paho.mqtt.client import Client, MQTTMessageInfo

__all__ = ["MqttSink", "MqttTransport"]

SCHEMES = {
    "mqtt": "mqtt://HOST:PORT/PREFIX",
    "mqtts": "mqtts://HOST:PORT/PREFIX",
}
PORTS = {"mqtt": 1883, "mqtts": 8883}
PREFIX = "vljepa"
DISCOVERY_PREFIX = "homeassistant"
BATCH = 50
IN_FLIGHT = 3 * BATCH  # messages
KEEPALIVE_S = 30
CONNECT_S = 5.0
GOODBYE_S = 1.0
NEEDS_HELP = ("Not authorized", "Bad user name or password", "Banned", "Client identifier not valid")


class MqttSink(NetworkSink):
    """Publishes events under `PREFIX/STREAM/`; see `NetworkSink`.

    Args:
        address: `mqtt://USER:PASSWORD@HOST:PORT/PREFIX`, or `mqtts` for TLS with a certificate that is checked; also
            `env:NAME` or `file:PATH` where that is written.
        outbox: Folder in which events wait; several sinks may share it.
        discovery_prefix: Where Home Assistant looks; empty where it is not to be told.
        authority: A file of certificates that is trusted too.
        on_change: See `NetworkSink`.

    Raises:
        InputError: the address is none.
        MissingExtraError: paho-mqtt is not installed.

    Examples:
        >>> from vljepa_runtime.sinks import MqttSink
        >>> with MqttSink("mqtt://door:secret@127.0.0.1:9/home/vljepa", outbox="waiting") as sink:
        ...     sink.state.name
        'mqtt mqtt://***@127.0.0.1:9/home/vljepa'
    """

    def __init__(
        self,
        address: str,
        *,
        outbox: str | Path,
        discovery_prefix: str = DISCOVERY_PREFIX,
        authority: str | Path | None = None,
        on_change: Callable[[SinkState], object] | None = None,
    ) -> None:
        transport = MqttTransport(address, discovery_prefix=discovery_prefix, authority=authority)
        kept = Outbox(Path(outbox) / transport.folder)
        transport.begin(kept.instance, first_id=kept.ids.next())
        super().__init__("mqtt", transport, outbox=kept, on_change=on_change)


class MqttTransport:
    """One connection after another to a broker; see `Transport`."""

    def __init__(
        self, address: str, *, discovery_prefix: str = DISCOVERY_PREFIX, authority: str | Path | None = None
    ) -> None:
        self._address = receiver_address(address, SCHEMES)
        self.name, self.batch = str(self._address), BATCH
        self._mqtt = _library()
        self._tls = trusted(authority) if self._address.scheme == "mqtts" else None
        self._prefix = _topic_prefix(self._address.secret_url(login=False))
        self._discovery_prefix = _checked(discovery_prefix)
        self._host, self._port = self._address.host, self._address.port or PORTS[self._address.scheme]
        user = (self._address.secret_login() or ("",))[0]
        place = f"{user}@{self._host}:{self._port}/{self._prefix}"
        self.folder = f"mqtt-{hashlib.sha256(place.encode()).hexdigest()[:16]}"
        self._client: Client | None = None
        self.begin(place, first_id=0)

    def begin(self, instance: str, *, first_id: int) -> None:
        """Say what tells this process from others that use the same prefix, and from which id on events are its own."""
        node = hashlib.sha256(f"{socket.gethostname()} {instance}".encode()).hexdigest()[:8]
        self._topics = Topics(
            self._prefix, node=node, discovery_prefix=self._discovery_prefix, first_id=first_id
        )

    def announce(self, stream: str, name: str, alerts: Sequence[str]) -> None:
        """See `Transport`."""
        self._topics.announce(stream, name, alerts)

    def connect(self, deadline: Deadline) -> None:
        """See `Transport`."""
        if self._client is not None and self._client.is_connected():
            return
        self._drop()
        self._client, answers = self._new_client()
        try:
            self._client.connect(self._host, self._port, KEEPALIVE_S)
            self._client.loop_start()
            answer = _first(answers, deadline)
        except (OSError, ValueError) as error:
            self._drop()
            raise DeliveryError(f"cannot reach the broker: {_reason(error)}") from error
        if answer != "Success":
            self._drop()
            raise DeliveryError(f"the broker answers: {answer}", needs_help=answer in NEEDS_HELP)
        self._publish([*self._topics.kept(), Message(self._topics.available, ONLINE, retain=True)], deadline)

    def _new_client(self) -> tuple[Client, SimpleQueue[str]]:
        """A client, and where the broker's answer comes."""
        client = self._mqtt.Client(self._mqtt.CallbackAPIVersion.VERSION2, reconnect_on_failure=False)
        client.connect_timeout = CONNECT_S
        client.max_inflight_messages_set(IN_FLIGHT)
        answers: SimpleQueue[str] = SimpleQueue()
        client.on_connect = lambda _client, _data, _flags, reason, _properties: answers.put(str(reason))
        client.on_disconnect = lambda _client, _data, _flags, reason, _properties: answers.put(str(reason))
        if (login := self._address.secret_login()) is not None:
            client.username_pw_set(login[0], login[1] or None)
        if self._tls is not None:
            client.tls_set_context(self._tls)
        client.will_set(self._topics.available, OFFLINE, qos=1, retain=True)
        return client, answers

    def send(self, entries: Sequence[OutboxEntry], deadline: Deadline) -> None:
        """See `Transport`: the broker has acknowledged every message."""
        self._publish([message for entry in entries for message in self._topics.messages(entry)], deadline)

    def _publish(self, messages: Sequence[Message], deadline: Deadline) -> None:
        client = self._client
        if client is None:
            raise DeliveryError("no connection to the broker")
        try:
            sent = [
                client.publish(message.topic, message.payload.encode(), qos=1, retain=message.retain)
                for message in messages
            ]
            for each in sent:
                self._await(client, each, deadline)
        except (ConnectionLostError, RuntimeError, ValueError, OSError) as error:
            self._drop()
            raise DeliveryError(f"the connection to the broker is lost: {_reason(error)}") from error

    def _await(self, client: Client, sent: MQTTMessageInfo, deadline: Deadline) -> None:
        while not sent.is_published():
            deadline.check()
            if not client.is_connected():
                raise ConnectionLostError("it hung up")
            sent.wait_for_publish(SLICE_S)

    def disconnect(self) -> None:
        """Say that this process is gone, and hang up."""
        if self._client is not None and self._client.is_connected():
            sent = self._client.publish(self._topics.available, OFFLINE, qos=1, retain=True)
            with suppress(RuntimeError, ValueError):
                sent.wait_for_publish(GOODBYE_S)
        self._drop()

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.on_connect = client.on_disconnect = None
            client.disconnect()
            client.loop_stop()


def _first(answers: SimpleQueue[str], deadline: Deadline) -> str:
    """What a broker says to a new connection."""
    while True:
        try:
            return answers.get(timeout=SLICE_S)
        except Empty:
            deadline.check()


def _library() -> Any:
    try:
        import paho.mqtt.client as library
    except ImportError as error:
        raise MissingExtraError("paho-mqtt", "mqtt") from error
    return library


def _topic_prefix(url: str) -> str:
    """The path of an address, without what only names a URL's end."""
    path = unquote(url.partition("://")[2].partition("/")[2])
    return _checked(path.strip("/") or PREFIX)


def _checked(prefix: str) -> str:
    if any(c in "+#?" or not c.isprintable() for c in prefix) or prefix.startswith("$"):
        raise InputError(
            f"expected a prefix of topics without + # ? and $, such as home/vljepa, got {printable(prefix)}"
        )
    return prefix.strip("/")


def _reason(error: Exception) -> str:
    reason = getattr(error, "verify_message", "")
    return redact(f"its certificate is not trusted: {reason}" if reason else plain_reason(error))
