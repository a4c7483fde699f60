"""Which source a URL gives: what has a known duration is read like a local file, everything else is live.

HTTP is read by web_file.py and handed to PyAV, RTSP by FFmpeg through relay.py, playlists by FFmpeg alone.
"""

from __future__ import annotations

import math
import threading
from functools import partial

from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.video.codeccontext import VideoCodecContext

from vljepa_runtime.errors import SourceError, UnreachableError
from vljepa_runtime.interruptible import interruptible
from vljepa_runtime.redaction import HIDDEN, redact
from vljepa_runtime.sources.address import ESCAPES, Address
from vljepa_runtime.sources.live.deadline import ConnectionLostError, Deadline
from vljepa_runtime.sources.live.source import Backoff, Connection, LiveSource
from vljepa_runtime.sources.network.http_opener import is_loopback
from vljepa_runtime.sources.network.motion_jpeg import MotionJpeg, Snapshots, is_motion_jpeg, is_snapshot
from vljepa_runtime.sources.network.relay import Relay
from vljepa_runtime.sources.network.stream import (
    FILE,
    PLAYLIST,
    REFUSED,
    RTSP,
    ContainerStream,
    is_readable,
    open_container,
)
from vljepa_runtime.sources.network.tcp import connect_tcp
from vljepa_runtime.sources.network.web_file import RefusedError, WebFile
from vljepa_runtime.sources.protocol import Source
from vljepa_runtime.sources.video.hardware import NONE, check_hwaccel, open_decoding
from vljepa_runtime.sources.video.source import OpenVideo, VideoSource

__all__ = ["open_network"]

RTSP_PORTS = {"rtsp": 554, "rtsps": 322}
ANSWER_S = 10.0  # from the first packet sent to the end of the header
PICTURE_S = 15.0  # from there to the first picture, and between pictures: key frames may be ten seconds apart
SILENCE_S = 5.0  # without a byte
PAGES = ("text/html", "application/xhtml+xml", "application/json", "application/xml", "text/xml")


def open_network(
    url: str | Address,
    *,
    loop: bool = False,
    stretch: bool = False,
    backoff: Backoff | None = None,
    timeout_s: float | None = None,
    hwaccel: str = NONE,
) -> Source:
    """Open a URL as a live source or, for an HTTP file of known length, as a file.

    Args:
        url: `rtsp://`, `rtsps://`, `http://` or `https://`, with credentials if needed.
        loop: Play an HTTP file again at its end.
        stretch: Spread the values of grey pictures of more than 8 bits of an HTTP file; see `open_source`.
        backoff: Waiting times between attempts of a live source.
        timeout_s: Seconds that a server has to answer when it has fewer than usual.
        hwaccel: What decodes it; see `open_source`.

    Raises:
        UnreachableError: an HTTP server does not answer.
        SourceError: it has no video there, or a live stream shall loop.
    """
    address = Address(url)
    address.check()
    stopped = threading.Event()
    connect = partial(_connect, address, stopped, check_hwaccel(hwaccel))
    if address.scheme.startswith("rtsp"):
        source = LiveSource(address, connect, backoff=backoff, stopped=stopped)
    else:
        try:
            connection = interruptible(
                connect, stopped.set, limit_s=timeout_s or math.inf, late=_no_answer, name=address
            )
        except ConnectionLostError as error:
            raise UnreachableError(f"cannot open {address}: {error}") from None
        if isinstance(connection, ContainerStream) and connection.finite:
            again, first = partial(_download_again, address, hwaccel), _video(connection)
            return VideoSource(str(address), again, first, loop=loop, stretch=stretch, stopped=stopped)
        source = LiveSource(address, connect, backoff=backoff, first=connection, stopped=stopped)
    if loop or stretch:
        source.close()
        what, option = ("loop", "loop") if loop else ("be stretched", "stretch")
        raise SourceError(f"{source.name} is a live stream and cannot {what}: leave {option} out")
    return source


def _no_answer(limit_s: float) -> ConnectionLostError:
    return ConnectionLostError(f"no answer for {limit_s:g} s")


def _download_again(address: Address, hwaccel: str, stopped: threading.Event) -> OpenVideo:
    try:
        connection = _connect(address, stopped, hwaccel)
    except ConnectionLostError as error:
        raise SourceError(f"cannot open {address} again: {error}") from None
    if not isinstance(connection, ContainerStream):
        connection.close()
        raise SourceError(f"{address} is no video any more: it cannot be played again")
    return _video(connection)


def _video(stream: ContainerStream) -> OpenVideo:
    return OpenVideo(
        container=stream.container,
        close=stream.close,
        renew=stream.deadline.renew,
        decoding=stream.decoding,
    )


def _connect(address: Address, stopped: threading.Event, hwaccel: str) -> Connection:
    """Open whatever a URL gives.

    Raises:
        SourceError: the server refuses, or has no video there.
        ConnectionLostError: trying again may help.
    """
    opens = _connect_rtsp if address.scheme.startswith("rtsp") else _connect_http

    def connect(device: HWAccel | None) -> Connection:
        return opens(address, Deadline(ANSWER_S, stopped=stopped), device)

    # Not chained: FFmpeg's own errors repeat the URL, and its reason is in the message.
    try:
        connection, decoding = open_decoding(hwaccel, connect, _decoder_of)
        if isinstance(connection, ContainerStream):
            connection.decoding = decoding
        return connection
    except SourceError as error:
        denied = isinstance(error, RefusedError) and error.denied
        advice = ESCAPES if denied and "***@" in address else address.advice
        raise SourceError("; ".join(filter(None, (f"cannot open {address}: {error}", advice)))) from None
    except ConnectionLostError as error:
        reason, advice = redact(str(error)), address.advice
        if advice:  # what looks like the host may be the user
            reason = reason.replace(address.host, HIDDEN)
        raise ConnectionLostError("; ".join(filter(None, (reason, advice)))) from None


def _decoder_of(connection: Connection) -> VideoCodecContext | None:
    return connection.decoder if isinstance(connection, ContainerStream) else None


def _connect_rtsp(address: Address, deadline: Deadline, device: HWAccel | None) -> Connection:
    connection = connect_tcp(address.host, address.port or RTSP_PORTS[address.scheme], deadline)
    if address.scheme == "rtsps":
        connection.secure(address.host)
    relay = Relay(connection, deadline)
    here = "rtsp" + address.secret_url(host=f"127.0.0.1:{relay.port}").removeprefix(address.scheme)
    try:
        container = open_container(
            here, RTSP, answer_s=ANSWER_S, silence_s=SILENCE_S, refused=REFUSED, device=device
        )
        deadline.expect("picture", PICTURE_S)
        return ContainerStream(container, address, deadline, relay)
    except (SourceError, ConnectionLostError):
        relay.close()
        if relay.reason:
            raise ConnectionLostError(relay.reason) from None
        raise


def _connect_http(address: Address, deadline: Deadline, device: HWAccel | None) -> Connection:
    file = WebFile(address, deadline)
    deadline.expect("picture", PICTURE_S, silence_s=SILENCE_S)
    try:
        if is_motion_jpeg(file):
            return MotionJpeg(file, deadline)
        if is_snapshot(file):
            return Snapshots(address, file, deadline)
        kind = _playlist(file.head())
        if kind is None:
            return ContainerStream(_open_file(file, device), address, deadline, file)
    except (SourceError, ConnectionLostError):
        file.close()
        raise
    file.close()
    if not is_readable(kind):
        raise RefusedError(
            f"this FFmpeg reads no {kind.upper()}: give the address of an HLS playlist (.m3u8)"
        )
    # FFmpeg reads the environment too, and uses only what begins with http://
    direct = {"http_proxy": "none"} if is_loopback(address.host) else {}
    try:
        container = open_container(
            address.secret_url(),
            PLAYLIST | direct,
            answer_s=ANSWER_S,
            silence_s=PICTURE_S,
            kind=kind,
            device=device,
        )
        return ContainerStream(container, address, deadline, paced=True)
    except RefusedError as error:
        raise RefusedError(f"the playlist names nothing that http(s) gives: {error}") from None


def _playlist(head: bytes) -> str | None:
    """FFmpeg's name for the format of a playlist, by its content alone (RFC 8216, 4.3.1.1), None for other files."""
    if head.lstrip(b"\xef\xbb\xbf\r\n\t ").startswith(b"#EXTM3U"):
        return "hls"
    return "dash" if b"<MPD" in head else None


def _open_file(file: WebFile, device: HWAccel | None) -> InputContainer:
    if file.length == 0:
        raise RefusedError("the server sends an empty file")
    try:
        return open_container(file, FILE, answer_s=ANSWER_S, device=device)
    except RefusedError:
        if file.mime not in PAGES:
            raise
        raise RefusedError(f"it is a page of {file.mime}: give the address of the stream itself") from None
