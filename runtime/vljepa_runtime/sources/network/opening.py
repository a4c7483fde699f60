"""Frames from `rtsp://` and `http(s)://`.

HTTP is read by web.py and handed to PyAV, RTSP by FFmpeg through relay.py, playlists by FFmpeg alone. What has a known
duration is read like a local file, everything else is live.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from functools import partial
from types import TracebackType
from typing import Any

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from vljepa_runtime.errors import SourceError
from vljepa_runtime.redaction import HIDDEN, redact
from vljepa_runtime.sources.address import ESCAPES, Address
from vljepa_runtime.sources.live.deadline import ConnectionLostError, Deadline, in_background
from vljepa_runtime.sources.live.source import (
    LIVE_LIMITS,
    LIVE_PIXELS,
    Backoff,
    Connection,
    LiveSource,
    Picture,
)
from vljepa_runtime.sources.network.motion_jpeg import MotionJpeg, Snapshots, is_motion_jpeg, is_snapshot
from vljepa_runtime.sources.network.relay import Relay
from vljepa_runtime.sources.network.tcp import connect_tcp
from vljepa_runtime.sources.network.web_file import RefusedError, WebFile, is_loopback
from vljepa_runtime.sources.pictures.pixels import Converter
from vljepa_runtime.sources.protocol import Announced, Frame, Hints, Source, SourceStatus
from vljepa_runtime.sources.video.clock import StreamClock
from vljepa_runtime.sources.video.packets import read_packets
from vljepa_runtime.sources.video.read_ahead import read_ahead
from vljepa_runtime.sources.video.source import announced_pictures, choose_stream, decode_stream

__all__ = ["SCHEMES", "DownloadSource", "open_network"]

SCHEMES = ("http", "https", "rtsp", "rtsps")
RTSP_PORTS = {"rtsp": 554, "rtsps": 322}
ANSWER_S = 10.0  # from the first packet sent to the end of the header
PICTURE_S = 15.0  # from there to the first picture, and between pictures: key frames may be ten seconds apart
SILENCE_S = 5.0  # without a byte
PAGES = ("text/html", "application/xhtml+xml", "application/json", "application/xml", "text/xml")
LATE_S, EARLY_S = 1.0, 30.0  # a picture of a playlist that is farther from its turn begins a new count

_RTSP = {
    "rtsp_flags": "prefer_tcp",
    "fflags": "nobuffer",
    "max_delay": "500000",
    "analyzeduration": "1000000",
    "protocol_whitelist": "tcp,udp,rtp",
}
# What comes through web.py may open nothing by itself.
_FILE = {"analyzeduration": "2000000", "protocol_whitelist": "crypto"}  # microseconds looked at beforehand
# The whitelist keeps a remote playlist from naming local files; its segments may be called what they like.
_PLAYLIST = {
    "reconnect": "1",
    "reconnect_delay_max": "4",
    "analyzeduration": "2000000",
    "protocol_whitelist": "http,https,httpproxy,tcp,tls,crypto",
    "allowed_extensions": "ALL",
    "allowed_segment_extensions": "ALL",
    "extension_picky": "0",
}
_REFUSED: tuple[type[Exception], ...] = (
    av.HTTPBadRequestError,
    av.HTTPUnauthorizedError,
    av.HTTPForbiddenError,
    av.HTTPNotFoundError,
    av.HTTPOtherClientError,
    av.ProtocolNotFoundError,
)
_UNREADABLE = (*_REFUSED, av.InvalidDataError)  # what is live may have begun between two key frames


def open_network(
    url: str | Address,
    *,
    loop: bool = False,
    stretch: bool = False,
    backoff: Backoff | None = None,
    hints: Hints | None = None,
    timeout_s: float | None = None,
) -> Source:
    """Open a URL as a live source or, for an HTTP file of known length, as a file.

    Args:
        url: `rtsp://`, `rtsps://`, `http://` or `https://`, with credentials if needed.
        loop: Play an HTTP file again at its end.
        stretch: Spread the values of grey pictures of more than 8 bits of an HTTP file; see `open_source`.
        backoff: Waiting times between attempts of a live source.
        hints: What the consumer needs.
        timeout_s: Seconds that a server has to answer when it has fewer than usual.

    Raises:
        SourceError: an HTTP server does not answer or has no video there, or a live stream shall loop.
    """
    address = Address(url)
    address.check()
    stopped = threading.Event()
    connect = partial(_connect, address, stopped)
    if address.scheme.startswith("rtsp"):
        source = LiveSource(address, connect, backoff=backoff, hints=hints, stopped=stopped)
    else:
        try:
            connection = in_background(connect, stopped, timeout_s or math.inf)
        except ConnectionLostError as error:
            raise SourceError(f"cannot open {address}: {error}") from None
        if isinstance(connection, _Stream) and connection.finite:
            return DownloadSource(address, connection, stopped, loop=loop, stretch=stretch, hints=hints)
        source = LiveSource(address, connect, backoff=backoff, hints=hints, first=connection, stopped=stopped)
    if loop or stretch:
        source.close()
        what, option = ("loop", "loop") if loop else ("be stretched", "stretch")
        raise SourceError(f"{source.name} is a live stream and cannot {what}: leave {option} out")
    return source


class DownloadSource:
    """A finite video behind HTTP, read in order and without loss; see `Source`."""

    live = False

    def __init__(
        self,
        address: Address,
        stream: _Stream,
        stopped: threading.Event,
        *,
        loop: bool = False,
        stretch: bool = False,
        hints: Hints | None = None,
    ) -> None:
        self.name = str(address)
        self.loop = loop
        self.stretch = stretch
        self.hints = hints or Hints()
        self._address = address
        self._stream: _Stream | None = stream
        self._stopped = stopped

    def announced(self) -> Announced | None:
        """What the header says."""
        return announced_pictures(self._stream.container if self._stream else None, self.name)

    def __iter__(self) -> Iterator[Frame | SourceStatus]:
        """Decode as fast as the consumer takes frames."""
        return read_ahead(self._looped(), leave=lambda: self._stopped.set())

    def _looped(self) -> Iterator[Frame | SourceStatus]:
        clock = StreamClock()
        while True:
            stream, self._stream = self._stream or self._again(), None
            try:
                for item in decode_stream(
                    stream.container, self.name, self.hints, clock, stretch=self.stretch
                ):
                    yield item
                    stream.deadline.renew()  # the server is not to blame for how long the consumer took
            finally:
                stream.close()
            if not self.loop:
                return

    def _again(self) -> _Stream:
        self._stopped = threading.Event()
        try:
            connection = _connect(self._address, self._stopped)
        except ConnectionLostError as error:
            raise SourceError(f"cannot open {self.name} again: {error}") from None
        if not isinstance(connection, _Stream):
            connection.close()
            raise SourceError(f"{self.name} is no video any more: it cannot be played again")
        return connection

    def close(self) -> None:
        """Drop the connection; a running iteration ends at its next step by itself."""
        self.loop = False
        self._stopped.set()  # whatever waits for the server ends at once
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def __enter__(self) -> DownloadSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _ForFFmpeg:
    """A file as PyAV reads it, which prints on stderr what a thread is told after a first failure."""

    def __init__(self, file: WebFile) -> None:
        self._file = file
        self._told: int | None = None  # the thread
        self.name, self.seek, self.tell, self.seekable = file.name, file.seek, file.tell, file.seekable

    def read(self, size: int) -> bytes:
        """As of any file; where it has failed it has ended."""
        if self._told == threading.get_ident():
            return b""
        try:
            return self._file.read(size)
        except ConnectionLostError:
            self._told = threading.get_ident()
            raise


class _Stream:
    """A container that PyAV opened, live or finite; see `Connection`.

    Args:
        container: Closed with this.
        name: For errors.
        deadline: Ends every wait.
        carrier: What the bytes come through; closed with this.
        paced: Pictures come in bursts, a segment at a time, and are given at their own times.
    """

    def __init__(
        self,
        container: InputContainer,
        name: str,
        deadline: Deadline,
        carrier: WebFile | Relay | None = None,
        *,
        paced: bool = False,
    ) -> None:
        self.container = container
        self.deadline = deadline
        self.note = ""
        self._carrier = carrier
        self._is_file = isinstance(carrier, WebFile) and carrier.takes_ranges
        self._paced = paced
        self._clock_s: float | None = None  # that of this machine when the stamps were 0
        try:
            self._stream = choose_stream(container, name)
            if not self.finite:
                _check_live_size(self._stream)
            if paced:
                _leave_out_others(self._stream)
        except SourceError:
            container.close()
            raise

    @property
    def finite(self) -> bool:
        """Whether it is a file with an end; a raw stream says nothing of its duration."""
        return self.container.duration is not None or self._is_file

    def pictures(self, interval_s: float | None = None) -> Iterator[Picture]:
        """Every picture, as soon as it is decoded."""
        self._stream.codec_context.options = dict(LIVE_LIMITS)
        self._stream.thread_type = "SLICE"  # frame threads would hold pictures back
        packets = read_packets(self.container, self._stream)
        converter = Converter(self._stream)
        while True:
            self.deadline.check()
            packet = self._next(packets)
            try:
                for frame in self._stream.decode(packet):
                    self.deadline.renew()
                    self._await_turn(frame.time)
                    picture = converter.prepare(frame)
                    self.note = converter.note
                    yield picture
            except av.EOFError:
                return
            except (av.FFmpegError, ValueError):
                pass  # a damaged packet costs its picture only
            if packet is None:
                return

    def _await_turn(self, stamp_s: float | None) -> None:
        if not self._paced or stamp_s is None:
            return
        now = time.monotonic()
        if self._clock_s is None or not -LATE_S < self._clock_s + stamp_s - now < EARLY_S:
            self._clock_s = now - stamp_s
        self.deadline.sleep(self._clock_s + stamp_s - now)
        self.deadline.renew()

    def _next(self, packets: Iterator[Any]) -> Any:
        try:
            packet = next(packets, None)
        except (av.FFmpegError, OSError) as error:
            raise ConnectionLostError(
                self._cause() or _reason(error, float(self.container.read_timeout or 0))
            ) from error
        if packet is None and (cause := self._cause()):
            raise ConnectionLostError(cause)
        return packet

    def _cause(self) -> str:
        return self._carrier.reason if isinstance(self._carrier, Relay) else ""

    def close(self) -> None:
        self.container.close()
        if self._carrier is not None:
            self._carrier.close()


def _leave_out_others(stream: VideoStream) -> None:
    """Let FFmpeg fetch no other variant of a playlist; before PyAV 18 it fetches all of them."""
    discard: Any = getattr(av.stream, "Discard", None)
    for other in stream.container.streams:
        if discard is not None and other.index != stream.index:
            other.discard = discard.all


def _check_live_size(stream: VideoStream) -> None:
    if stream.width * stream.height > LIVE_PIXELS:
        size = f"{stream.width}x{stream.height}"
        raise SourceError(f"it claims {size} pixels, more than the {LIVE_PIXELS:,} of a live picture")


def _connect(address: Address, stopped: threading.Event) -> Connection:
    """Open whatever a URL gives.

    Raises:
        SourceError: the server refuses, or has no video there.
        ConnectionLostError: trying again may help.
    """
    deadline = Deadline(ANSWER_S, stopped=stopped)
    connect = _connect_rtsp if address.scheme.startswith("rtsp") else _connect_http
    # Not chained: FFmpeg's own errors repeat the URL, and its reason is in the message.
    try:
        return connect(address, deadline)
    except SourceError as error:
        denied = isinstance(error, RefusedError) and error.denied
        advice = ESCAPES if denied and "***@" in address else address.advice
        raise SourceError(f"cannot open {address}: {error}{advice and '; '}{advice}") from None
    except ConnectionLostError as error:
        reason, advice = redact(str(error)), address.advice
        if advice:  # what looks like the host may be the user
            reason = reason.replace(address.host, HIDDEN)
        raise ConnectionLostError(f"{reason}{advice and '; '}{advice}") from None


def _connect_rtsp(address: Address, deadline: Deadline) -> Connection:
    connection = connect_tcp(address.host, address.port or RTSP_PORTS[address.scheme], deadline)
    if address.scheme == "rtsps":
        connection.secure(address.host)
    relay = Relay(connection, deadline)
    here = "rtsp" + address.secret_url(host=f"127.0.0.1:{relay.port}").removeprefix(address.scheme)
    try:
        container = _open(here, _RTSP, SILENCE_S, refused=_REFUSED)
        deadline.expect("picture", PICTURE_S)
        return _Stream(container, address, deadline, relay)
    except (SourceError, ConnectionLostError):
        relay.close()
        if relay.reason:
            raise ConnectionLostError(relay.reason) from None
        raise


def _connect_http(address: Address, deadline: Deadline) -> Connection:
    file = WebFile(address, deadline)
    deadline.expect("picture", PICTURE_S, silence_s=SILENCE_S)
    try:
        if is_motion_jpeg(file):
            return MotionJpeg(file, deadline)
        if is_snapshot(file):
            return Snapshots(address, file, deadline)
        kind = _playlist(file.head())
        if kind is None:
            return _Stream(_open_file(file), address, deadline, file)
    except (SourceError, ConnectionLostError):
        file.close()
        raise
    file.close()
    if not _is_readable(kind):
        raise RefusedError(
            f"this FFmpeg reads no {kind.upper()}: give the address of an HLS playlist (.m3u8)"
        )
    # FFmpeg reads the environment too, and uses only what begins with http://
    direct = {"http_proxy": "none"} if is_loopback(address.host) else {}
    try:
        container = _open(address.secret_url(), _PLAYLIST | direct, PICTURE_S, kind)
        return _Stream(container, address, deadline, paced=True)
    except RefusedError as error:
        raise RefusedError(f"the playlist names nothing that http(s) gives: {error}") from None


def _playlist(head: bytes) -> str | None:
    """FFmpeg's name for the format of a playlist, by its content alone (RFC 8216, 4.3.1.1), None for other files."""
    if head.lstrip(b"\xef\xbb\xbf\r\n\t ").startswith(b"#EXTM3U"):
        return "hls"
    return "dash" if b"<MPD" in head else None


def _is_readable(kind: str) -> bool:
    try:
        return bool(av.format.ContainerFormat(kind, "r"))
    except ValueError:  # PyAV's wheels lack libxml2, and so DASH
        return False


def _open_file(file: WebFile) -> InputContainer:
    if file.length == 0:
        raise RefusedError("the server sends an empty file")
    try:
        return _open(_ForFFmpeg(file), _FILE)
    except RefusedError:
        if file.mime not in PAGES:
            raise
        raise RefusedError(f"it is a page of {file.mime}: give the address of the stream itself") from None


def _open(
    what: str | _ForFFmpeg,
    options: dict[str, str],
    read_s: float | None = None,
    kind: str | None = None,
    *,
    refused: tuple[type[Exception], ...] = _UNREADABLE,
) -> InputContainer:
    timeout = (
        None if read_s is None else (ANSWER_S + 1, read_s)
    )  # the deadline ends first, with words of its own
    try:
        return av.open(
            what,
            mode="r",
            format=kind,
            container_options=dict(options),
            timeout=timeout,
        )
    except ConnectionLostError:
        raise
    except refused as error:
        denied = isinstance(error, av.HTTPUnauthorizedError | av.HTTPForbiddenError)
        raise RefusedError(_reason(error, ANSWER_S), code=401 if denied else 0) from None
    except (av.FFmpegError, OSError, ValueError) as error:
        raise ConnectionLostError(_reason(error, ANSWER_S)) from None


def _reason(error: Exception, waited_s: float) -> str:
    if isinstance(error, av.ExitError):
        return f"no data for {waited_s:.0f} s"
    text = redact(str(getattr(error, "strerror", None) or error))
    return text[:1].lower() + text[1:]
