"""Frames from `rtsp://` and `http(s)://` through PyAV.

RTSP and endless HTTP streams are live; an HTTP file with a known length is read like a local file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from types import TracebackType

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer

from vljepa_runtime.errors import SourceError
from vljepa_runtime.sources.address import ESCAPES, Address
from vljepa_runtime.sources.clock import StreamClock
from vljepa_runtime.sources.file import announced_pictures, choose_stream, decode_stream
from vljepa_runtime.sources.live import Backoff, ConnectionLostError, LiveSource
from vljepa_runtime.sources.pictures import Converter
from vljepa_runtime.sources.protocol import Announced, Frame, Hints, Source, SourceStatus
from vljepa_runtime.sources.redaction import redact

__all__ = ["SCHEMES", "DownloadSource", "open_network"]

SCHEMES = ("http", "https", "rtsp", "rtsps")
OPEN_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 5.0  # also the longest that a closed reader stays blocked

_RTSP = {
    "rtsp_flags": "prefer_tcp",
    "fflags": "nobuffer",
    "max_delay": "500000",
    "analyzeduration": "1000000",
}
# FFmpeg itself resumes a file of known length where it broke; endless streams are left to LiveSource.
# The whitelist keeps a remote playlist from naming local files.
_HTTP = {
    "reconnect": "1",
    "reconnect_delay_max": "4",
    "analyzeduration": "2000000",  # microseconds of a stream looked at before the first frame
    "protocol_whitelist": "http,https,httpproxy,tcp,tls,crypto,data,hls",
}
_REFUSED = (
    av.HTTPBadRequestError,
    av.HTTPUnauthorizedError,
    av.HTTPForbiddenError,
    av.HTTPNotFoundError,
    av.HTTPOtherClientError,
    av.InvalidDataError,
    av.ProtocolNotFoundError,
)


def open_network(
    url: str | Address, *, loop: bool = False, backoff: Backoff | None = None, hints: Hints | None = None
) -> Source:
    """Open a URL as a live source or, for an HTTP file of known length, as a file.

    Args:
        url: `rtsp://`, `rtsps://`, `http://` or `https://`, with credentials if needed.
        loop: Play an HTTP file again at its end.
        backoff: Waiting times between attempts of a live source.
        hints: What the consumer needs.

    Raises:
        SourceError: an HTTP server does not answer or has no video there, or a live stream shall loop.
    """
    address = Address(url)
    address.check()
    if address.scheme.startswith("rtsp"):
        source = LiveSource(address, partial(_Stream.connect, address), backoff=backoff, hints=hints)
    else:
        try:
            container = _open(address)
        except ConnectionLostError as error:
            raise SourceError(f"cannot open {address}: {error}") from error
        if container.duration is not None:
            return DownloadSource(address, container, loop=loop, hints=hints)
        first = [container]
        connect: Callable[[], _Stream] = lambda: _Stream(first.pop() if first else _open(address), address)  # noqa: E731
        source = LiveSource(address, connect, backoff=backoff, hints=hints)
    if loop:
        source.close()
        raise SourceError(f"{source.name} is a live stream and cannot loop: leave loop out")
    return source


class DownloadSource:
    """A finite video behind HTTP, read in order and without loss; see `Source`."""

    live = False

    def __init__(
        self, address: Address, container: InputContainer, *, loop: bool = False, hints: Hints | None = None
    ) -> None:
        self.name = str(address)
        self.loop = loop
        self.hints = hints or Hints()
        self._address = address
        self._container: InputContainer | None = container

    def announced(self) -> Announced | None:
        """What the header says."""
        return announced_pictures(self._container, self.name)

    def __iter__(self) -> Iterator[Frame | SourceStatus]:
        """Decode as fast as the consumer takes frames."""
        clock = StreamClock()
        while True:
            try:
                container, self._container = self._container or _open(self._address), None
            except ConnectionLostError as error:
                raise SourceError(f"cannot open {self.name} again: {error}") from error
            with container:
                yield from decode_stream(container, self.name, self.hints, clock)
            if not self.loop:
                return

    def close(self) -> None:
        """Drop the connection; a running iteration ends at its next step by itself."""
        self.loop = False
        if self._container is not None:
            self._container.close()
            self._container = None

    def __enter__(self) -> DownloadSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Stream:
    """One live connection; see `Connection`."""

    def __init__(self, container: InputContainer, address: Address) -> None:
        self._container = container
        try:
            self._stream = choose_stream(container, address)
        except SourceError:
            container.close()
            raise
        self._stream.thread_type = "SLICE"  # frame threads would hold pictures back

    @classmethod
    def connect(cls, address: Address) -> _Stream:
        return cls(_open(address), address)

    def pictures(self) -> Iterator[Callable[[int | None], npt.NDArray[np.uint8]]]:
        packets = self._container.demux(self._stream)
        converter = Converter(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except (av.FFmpegError, OSError) as error:
                raise ConnectionLostError(_reason(error)) from error
            try:
                for frame in self._stream.decode(packet):
                    yield converter.prepare(frame)
            except av.EOFError:
                return
            except (av.FFmpegError, ValueError):
                pass  # a damaged packet costs its picture only
            if packet is None:
                return

    def close(self) -> None:
        self._container.close()


def _open(address: Address) -> InputContainer:
    options = _RTSP if address.scheme.startswith("rtsp") else _HTTP
    # Not chained: FFmpeg's own errors repeat the URL, and its reason is in the message.
    try:
        return av.open(
            address.secret_url(),
            container_options=dict(options),
            timeout=(OPEN_TIMEOUT_S, READ_TIMEOUT_S),
        )
    except _REFUSED as error:
        denied = isinstance(error, av.HTTPUnauthorizedError | av.HTTPForbiddenError) and "***@" in address
        advice = ESCAPES if denied else address.advice
        raise SourceError(f"cannot open {address}: {_reason(error)}{advice and '; '}{advice}") from None
    except (av.FFmpegError, OSError, ValueError) as error:
        raise ConnectionLostError(f"{_reason(error)}{address.advice and '; '}{address.advice}") from None


def _reason(error: Exception) -> str:
    """FFmpeg's own words; the URL is not in them."""
    if isinstance(error, av.ExitError):
        return f"no data for {READ_TIMEOUT_S:.0f} s"
    text = redact(str(getattr(error, "strerror", None) or error))
    return text[:1].lower() + text[1:]
