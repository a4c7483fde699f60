"""The table of sinks, as `vljepa run` offers them: a new one is a file here and a line below."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from vljepa_runtime.sinks.protocol import Sink

if TYPE_CHECKING:
    from vljepa_runtime.sinks.network.delivery import NetworkSink
    from vljepa_runtime.sinks.network.state import SinkState

__all__ = ["NETWORK_SINKS", "SINKS", "NetworkSinkForm", "SinkForm"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkForm:
    """One kind of output file.

    Attributes:
        option: What it is called on the command line, and the name of its argument.
        opens: File of this package and class, called with a path and `overwrite`; imported when it is opened.
        appends: Whether it takes `append`, too.
        shared: Whether one file takes the events of several streams; of others each stream has its own.
        metavar: What a user puts behind the option.
        help: What becomes of it.
    """

    option: str
    opens: str
    appends: bool = False
    shared: bool = False
    metavar: str = "FILE"
    help: str

    @property
    def suffix(self) -> str:
        """What its files end with."""
        return Path(self.metavar).suffix or f".{self.option}"

    def open(self, path: Path, *, overwrite: bool, append: bool = False) -> Sink:
        """Open the sink; `append` counts where it can go on at the end of a file."""
        options = {"append": append} if self.appends else {}
        sink: Sink = resolve_name(f"vljepa_runtime.sinks.{self.opens}")(path, overwrite=overwrite, **options)
        return sink


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSinkForm:
    """One kind of receiver behind a network; one sink takes the events of any number of streams.

    Attributes:
        option: What it is called on the command line, and the name of its argument.
        opens: File of this package and class, called with an address and `outbox`; imported when it is opened.
        metavar: What a user puts behind the option.
        help: What becomes of it.

    Examples:
        >>> from vljepa_runtime.sinks import NETWORK_SINKS, NetworkSinkForm
        >>> forms: tuple[NetworkSinkForm, ...] = NETWORK_SINKS
        >>> [form.option for form in forms]
        ['mqtt', 'webhook']
    """

    option: str
    opens: str
    metavar: str
    help: str

    def open(
        self,
        address: str,
        *,
        outbox: str | Path,
        on_change: Callable[[SinkState], object] | None = None,
        **options: Any,
    ) -> NetworkSink:
        """Open the sink, with what else its class takes."""
        found = resolve_name(f"vljepa_runtime.sinks.{self.opens}")
        sink: NetworkSink = found(address, outbox=outbox, on_change=on_change, **options)
        return sink


SINKS = (
    SinkForm(
        option="jsonl",
        opens="jsonl:JsonlSink",
        appends=True,
        shared=True,
        help="also write the events to FILE, or a pipe",
    ),
    SinkForm(option="srt", opens="subtitles:SubtitleSink", help="write subtitles"),
    SinkForm(
        option="save",
        opens="video:VideoSink",
        metavar="FILE.mp4",
        help="write the video with the events drawn in",
    ),
)

NETWORK_SINKS: tuple[NetworkSinkForm, ...] = (
    NetworkSinkForm(
        option="mqtt",
        opens="network.mqtt:MqttSink",
        metavar="mqtt[s]://HOST/PREFIX",
        help="publish the events, for Home Assistant and others",
    ),
    NetworkSinkForm(
        option="webhook",
        opens="network.webhook:WebhookSink",
        metavar="URL",
        help="POST each event as JSON",
    ),
)
