"""A stream that FFmpeg reads: how it is opened for each way that bytes come, and its pictures one by one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import av
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from vljepa_runtime.errors import SourceError
from vljepa_runtime.printable import plain_reason
from vljepa_runtime.redaction import redact
from vljepa_runtime.sources.live.deadline import ConnectionLostError, Deadline
from vljepa_runtime.sources.live.source import LIVE_LIMITS, LIVE_PIXELS, Picture
from vljepa_runtime.sources.network.relay import Relay
from vljepa_runtime.sources.network.web_file import RefusedError, WebFile
from vljepa_runtime.sources.pictures.pixels import Converter
from vljepa_runtime.sources.ring.packet_ring import PacketRing
from vljepa_runtime.sources.ring.track import Track, encoded
from vljepa_runtime.sources.video.decoding import choose_stream
from vljepa_runtime.sources.video.hardware import SOFTWARE
from vljepa_runtime.sources.video.packets import decode_packet, read_packets

__all__ = ["FILE", "PLAYLIST", "REFUSED", "RTSP", "ContainerStream", "is_readable", "open_container"]

LATE_S, EARLY_S = 1.0, 30.0  # a picture of a playlist that is farther from its turn begins a new count

RTSP = {
    "rtsp_flags": "prefer_tcp",
    "fflags": "nobuffer",
    "max_delay": "500000",
    "analyzeduration": "1000000",
    "protocol_whitelist": "tcp,udp,rtp",
}
# What comes through web_file.py may open nothing by itself.
FILE = {"analyzeduration": "2000000", "protocol_whitelist": "crypto"}  # microseconds looked at beforehand
# The whitelist keeps a remote playlist from naming local files; its segments may be called what they like.
PLAYLIST = {
    "reconnect": "1",
    "reconnect_delay_max": "4",
    "analyzeduration": "2000000",
    "protocol_whitelist": "http,https,httpproxy,tcp,tls,crypto",
    "allowed_extensions": "ALL",
    "allowed_segment_extensions": "ALL",
    "extension_picky": "0",
}
REFUSED: tuple[type[Exception], ...] = (
    av.HTTPBadRequestError,
    av.HTTPUnauthorizedError,
    av.HTTPForbiddenError,
    av.HTTPNotFoundError,
    av.HTTPOtherClientError,
    av.ProtocolNotFoundError,
)
UNREADABLE = (*REFUSED, av.InvalidDataError)  # what is live may have begun between two key frames


class ContainerStream:
    """A container that PyAV opened, live or finite; see `Connection`.

    Args:
        container: Closed with this.
        name: For errors.
        deadline: Ends every wait.
        carrier: What the bytes come through; closed with this.
        paced: Pictures come in bursts, a segment at a time, and are given at their own times.

    Attributes:
        decoding: How the container was opened; set by whoever did it.
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
        self.decoding = SOFTWARE
        self._carrier = carrier
        self._is_file = isinstance(carrier, WebFile) and carrier.takes_ranges
        self._paced = paced
        self._keep: Callable[[Any], object] = bool
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

    @property
    def decoder(self) -> VideoCodecContext:
        """Of the stream that is shown."""
        return self._stream.codec_context

    def keep_packets(self, ring: PacketRing, now_s: Callable[[], float]) -> None:
        """See `PacketConnection`."""
        ring.begin(Track.of(self._stream))

        def keep(packet: Any) -> None:
            if packet is not None and (kept := encoded(packet, now_s())) is not None:
                ring.add(kept)

        self._keep = keep

    def pictures(self, interval_s: float | None = None) -> Iterator[Picture]:
        """Every picture, as soon as it is decoded."""
        self._stream.codec_context.options = dict(LIVE_LIMITS)
        self._stream.thread_type = "SLICE"  # frame threads would hold pictures back
        packets = read_packets(self.container, self._stream)
        converter = Converter(self._stream)
        while True:
            self.deadline.check()
            packet = self._next(packets)
            self._keep(packet)
            try:
                for frame in decode_packet(self._stream, packet):
                    self.deadline.renew()
                    self._await_turn(frame.time)
                    picture = converter.prepare(frame)
                    self.note = self._note(converter)
                    yield picture
            except av.EOFError:
                return
            except (av.FFmpegError, ValueError):
                pass  # a damaged packet costs its picture only
            if packet is None:
                return

    def _note(self, converter: Converter) -> str:
        reason = self.decoding.left_to_processor(self._stream)
        on_processor = f"pictures that are decoded on the processor ({reason})" if reason else ""
        return "; ".join(filter(None, (converter.note, on_processor)))

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


class _FailsOnce:
    """A file as PyAV reads it, which prints on stderr what a thread is told after a first failure."""

    def __init__(self, file: WebFile) -> None:
        self._file = file
        self._failed_in: int | None = None  # the thread
        self.name, self.seek, self.tell, self.seekable = file.name, file.seek, file.tell, file.seekable

    def read(self, size: int) -> bytes:
        """As of any file; where it has failed it has ended."""
        if self._failed_in == threading.get_ident():
            return b""
        try:
            return self._file.read(size)
        except ConnectionLostError:
            self._failed_in = threading.get_ident()
            raise


def open_container(
    what: str | WebFile,
    options: dict[str, str],
    *,
    answer_s: float,
    silence_s: float | None = None,
    kind: str | None = None,
    refused: tuple[type[Exception], ...] = UNREADABLE,
    device: HWAccel | None = None,
) -> InputContainer:
    """Have FFmpeg look at the beginning of a stream.

    Args:
        what: A URL that FFmpeg opens itself, or a file.
        options: `RTSP`, `FILE` or `PLAYLIST`.
        answer_s: The time that the server has to answer.
        silence_s: How long FFmpeg itself waits for bytes; None for a file, which knows.
        kind: FFmpeg's name of the format, where it shall not guess.
        refused: Errors after which another attempt is in vain.
        device: That decodes it where it can.

    Raises:
        RefusedError: one of `refused`.
        ConnectionLostError: anything else.
    """
    # the deadline ends first, with words of its own
    timeout = None if silence_s is None else (answer_s + 1, silence_s)
    file = _FailsOnce(what) if isinstance(what, WebFile) else what
    try:
        return av.open(
            file, mode="r", format=kind, container_options=dict(options), timeout=timeout, hwaccel=device
        )
    except ConnectionLostError:
        raise
    except refused as error:
        denied = isinstance(error, av.HTTPUnauthorizedError | av.HTTPForbiddenError)
        raise RefusedError(_reason(error, answer_s), code=401 if denied else 0) from None
    except (av.FFmpegError, OSError, ValueError) as error:
        raise ConnectionLostError(_reason(error, answer_s)) from None


def is_readable(kind: str) -> bool:
    """Whether this FFmpeg knows a format."""
    try:
        return bool(av.format.ContainerFormat(kind, "r"))
    except ValueError:  # PyAV's wheels lack libxml2, and so DASH
        return False


def _reason(error: Exception, waited_s: float) -> str:
    return f"no data for {waited_s:.0f} s" if isinstance(error, av.ExitError) else redact(plain_reason(error))
