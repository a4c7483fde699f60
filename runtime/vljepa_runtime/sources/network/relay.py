"""FFmpeg's way to an RTSP server through a port of our own, so that its waits end when ours do.

FFmpeg cannot be interrupted from outside while it opens a stream, and takes an answer as long as a server claims.
"""

from __future__ import annotations

import selectors
import socket
import threading

from vljepa_runtime.printable import plain_reason
from vljepa_runtime.sources.live.deadline import SLICE_S, ConnectionLostError, Deadline
from vljepa_runtime.sources.network.tcp import TcpConnection

__all__ = ["Relay"]

CHUNK = 1 << 16
MOST_BEFORE_PLAY = 1 << 20  # bytes: options, description and set-up of any real stream
JOIN_S = 2.0


class Relay:
    """A port on the loopback that carries one connection to a server.

    Args:
        connection: The connection to the server; closed with this.
        deadline: When it is over, both ends are closed.

    Attributes:
        port: Where FFmpeg connects to.
        reason: Why it ended, empty while it goes on.
    """

    def __init__(self, connection: TcpConnection, deadline: Deadline) -> None:
        self.reason = ""
        self._server = connection
        self._deadline = deadline
        self._closed = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1)
        self._listener.settimeout(SLICE_S)
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Hang up on both sides."""
        self._closed.set()
        self._thread.join(JOIN_S)

    def _run(self) -> None:
        """Body of the thread."""
        try:
            client = self._accept()
            self._listener.close()
            if client is not None:
                with client:
                    self._carry(TcpConnection(client, self._deadline))
        except _LeftError:
            pass
        except OSError as error:
            self.reason = plain_reason(error)
        finally:
            self._listener.close()
            self._server.disconnect()

    def _accept(self) -> socket.socket | None:
        while not self._closed.is_set():
            self._deadline.check()
            try:
                return self._listener.accept()[0]
            except TimeoutError:
                pass
        return None

    def _carry(self, client: TcpConnection) -> None:
        """Bytes both ways until one side ends."""
        buffer = bytearray(CHUNK)
        before_play: int | None = 0  # None once the stream plays
        with selectors.DefaultSelector() as selector:
            selector.register(client, selectors.EVENT_READ)
            selector.register(self._server, selectors.EVENT_READ)
            while not self._closed.is_set():
                self._deadline.check()
                ready = {key.fileobj for key, _ in selector.select(0 if self._server.pending() else SLICE_S)}
                if client in ready and (size := _from_ffmpeg(client, buffer)) is not None:
                    if not size:
                        return
                    if buffer.startswith(b"PLAY "):
                        before_play = None
                    self._server.sendall(buffer[:size])
                if self._server in ready or self._server.pending():
                    size = self._server.receive_soon(buffer)  # TLS may have had something for itself only
                    if size is None:
                        continue
                    if not size:
                        return
                    if before_play is not None:
                        before_play += size
                        _check_answer(buffer[:size], before_play)
                    _to_ffmpeg(client, buffer[:size])


def _check_answer(data: bytearray, before_play: int) -> None:
    """Refuse what FFmpeg would follow past this relay, or keep in memory."""
    if data.startswith(b"RTSP/1.0 3"):
        raise ConnectionLostError("the server redirects to another address: open that one")
    if before_play > MOST_BEFORE_PLAY:
        raise ConnectionLostError("the server sends without end before the stream begins")


class _LeftError(Exception):
    """FFmpeg hung up, for a reason that it tells itself."""


def _from_ffmpeg(client: TcpConnection, buffer: bytearray) -> int | None:
    try:
        return client.receive_soon(buffer)
    except OSError:
        raise _LeftError from None


def _to_ffmpeg(client: TcpConnection, data: bytearray) -> None:
    try:
        client.sendall(data)
    except ConnectionLostError:
        raise
    except OSError:
        raise _LeftError from None
