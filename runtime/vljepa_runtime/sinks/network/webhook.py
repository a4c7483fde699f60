"""Events to a web server: POST of JSON, tried again until it has them, with an id to tell repeats and a signature."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import math
import time
import urllib.error
from collections.abc import Callable, Sequence
from email.message import Message
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import quote
from urllib.request import Request

from vljepa_runtime.arguments import whole
from vljepa_runtime.errors import InputError
from vljepa_runtime.printable import plain_reason
from vljepa_runtime.redaction import redact
from vljepa_runtime.sinks.network.addresses import receiver_address, secret_text, trusted
from vljepa_runtime.sinks.network.delivery import NetworkSink
from vljepa_runtime.sinks.network.outbox import Outbox
from vljepa_runtime.sinks.network.outbox_rows import OutboxEntry
from vljepa_runtime.sinks.network.state import SinkState
from vljepa_runtime.sinks.network.transport import DeliveryError, RejectedError
from vljepa_runtime.sources.live.deadline import ConnectionLostError, Deadline
from vljepa_runtime.sources.network.http_opener import http_opener

__all__ = ["WebhookSink", "WebhookTransport", "signature"]

SCHEMES = {"https": "https://HOST/PATH", "http": "http://HOST:PORT/PATH"}
SAFE = "%/:=&?~+!$,;'@()*[]|"  # characters of an address that go as they are
PASSING = (408, 425, 429)  # a later attempt may do; as after 5xx
OF_THE_ADDRESS = (401, 403, 404, 405, 407, 410)  # whatever the event: somebody has to look


class WebhookSink(NetworkSink):
    """POSTs each event as JSON; see `NetworkSink`.

    Redirects are not followed: an address that moved is a failure that says where to.

    Args:
        address: `https://USER:PASSWORD@HOST/PATH`; also `env:NAME` or `file:PATH` where that is written.
        outbox: Folder in which events wait; several sinks may share it.
        secret: Signs each request (`webhook-signature`); also `env:NAME` or `file:PATH`.
        batch: With more than 1, each request has a list of up to so many events.
        authority: A file of certificates that is trusted too.
        on_change: See `NetworkSink`.

    Raises:
        InputError: the address is none.

    Examples:
        >>> from vljepa_runtime.sinks import WebhookSink
        >>> with WebhookSink("http://127.0.0.1:9/hook?token=abc", outbox="waiting", batch=10) as sink:
        ...     sink.state.name
        'webhook http://127.0.0.1:9/hook?token=***'
    """

    def __init__(
        self,
        address: str,
        *,
        outbox: str | Path,
        secret: str | None = None,
        batch: int = 1,
        authority: str | Path | None = None,
        on_change: Callable[[SinkState], object] | None = None,
    ) -> None:
        transport = WebhookTransport(address, secret=secret, batch=batch, authority=authority)
        super().__init__(
            "webhook", transport, outbox=Outbox(Path(outbox) / transport.folder), on_change=on_change
        )


class WebhookTransport:
    """A request for each delivery; see `Transport`."""

    def __init__(
        self,
        address: str,
        *,
        secret: str | None = None,
        batch: int = 1,
        authority: str | Path | None = None,
    ) -> None:
        self._address = receiver_address(address, SCHEMES)
        self.name, self.batch = str(self._address), whole(batch, "batch", least=1)
        self._lists = batch > 1
        self._url = quote(self._address.secret_url(login=False).partition("#")[0], safe=SAFE)
        self._secret = None if secret is None else _key(secret_text(secret))
        self._tls = trusted(authority)
        place = f"{(self._address.secret_login() or ('',))[0]} {self._url}"
        self.folder = f"webhook-{hashlib.sha256(place.encode()).hexdigest()[:16]}"

    def connect(self, deadline: Deadline) -> None:
        """See `Transport`: each request has its own."""

    def announce(self, stream: str, name: str, alerts: Sequence[str]) -> None:
        """See `Transport`: nothing is told before the first event."""

    def disconnect(self) -> None:
        """See `Transport`."""

    def send(self, entries: Sequence[OutboxEntry], deadline: Deadline) -> None:
        """See `Transport`: the server has answered with success."""
        events = [entry.to_json() for entry in entries]
        body = (f"[{', '.join(events)}]" if self._lists else events[0]).encode()
        first, last = entries[0].id, entries[-1].id
        request = Request(
            self._url,
            data=body,
            method="POST",
            headers=self._headers(str(first) if first == last else f"{first}-{last}", body),
        )
        opener = http_opener(
            self._address.secret_login(), self._url, deadline, tls=self._tls, redirects=False
        )
        try:
            opener(request).close()  # whatever else it says is not read
        except urllib.error.HTTPError as error:
            error.close()
            raise _refusal(error.code, error.headers) from None
        except urllib.error.URLError as error:
            raise DeliveryError(f"cannot reach the server: {redact(_words(error.reason))}") from None
        except http.client.HTTPException as error:
            raise DeliveryError(f"the server breaks HTTP: {type(error).__name__}") from None
        except (OSError, ValueError) as error:
            raise DeliveryError(f"the connection to the server is lost: {redact(_words(error))}") from None

    def _headers(self, key: str, body: bytes) -> dict[str, str]:
        """As Standard Webhooks names them (https://www.standardwebhooks.com), and the key that others look for."""
        now = str(math.floor(time.time()))
        signed = (
            {} if self._secret is None else {"webhook-signature": signature(self._secret, key, now, body)}
        )
        return {
            "Content-Type": "application/json",
            "User-Agent": "vljepa-edge",
            "Idempotency-Key": key,
            "webhook-id": key,
            "webhook-timestamp": now,
            **signed,
        }


def signature(secret: bytes, key: str, timestamp: str, body: bytes) -> str:
    """The value of `webhook-signature`: `v1,` and HMAC-SHA256 of id, time and body in Base64.

    Args:
        secret: Shared with the receiver.
        key: Value of `webhook-id`.
        timestamp: Value of `webhook-timestamp`, seconds since 1970.
        body: Of the request.
    """
    signed = b".".join((key.encode(), timestamp.encode(), body))
    return "v1," + base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()


def _key(secret: str) -> bytes:
    """The bytes of a secret: `whsec_` is followed by Base64, anything else is text."""
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError as error:
        raise InputError("expected Base64 behind whsec_ in the webhook's secret: copy it whole") from error


def _refusal(code: int, headers: Message) -> DeliveryError:
    """What an answer other than success means for what was sent."""
    phrase = f"{code} {http.client.responses.get(code, '')}".strip()
    if 300 <= code < 400:
        where = redact(str(headers.get("Location", "nowhere")))[:200]
        return DeliveryError(f"the server redirects to {where}: give that address", needs_help=True)
    if code in OF_THE_ADDRESS:
        return DeliveryError(
            f"the server answers {phrase}: look at the address and its login", needs_help=True
        )
    if 400 <= code < 500 and code not in PASSING:
        return RejectedError(f"the server answers {phrase}")
    return DeliveryError(f"the server answers {phrase}", retry_after_s=_retry_after_s(headers))


def _retry_after_s(headers: Message) -> float:
    """Seconds that a server asks to be left alone for (RFC 9110, 10.2.3)."""
    text = str(headers.get("Retry-After", "")).strip()
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return 0.0


def _words(reason: object) -> str:
    if isinstance(reason, Exception) and not isinstance(reason, ConnectionLostError):
        return plain_reason(reason)
    return str(reason)  # a sentence already
