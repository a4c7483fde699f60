"""TCP and TLS connections whose every wait looks at the clock and at whether the consumer still listens."""

from __future__ import annotations

import errno
import io
import os
import selectors
import socket
import ssl
import time
from typing import Any

from vljepa_runtime.printable import plain_reason
from vljepa_runtime.sources.live.deadline import SLICE_S, ConnectionLostError, Deadline

__all__ = ["TcpConnection", "connect_tcp"]


class TcpConnection:
    """An open connection; `http.client` can use it as its socket, with files that keep it open as a socket's do.

    Args:
        sock: A connected socket.
        deadline: Ends every wait.
    """

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock = sock
        self._deadline = deadline
        self._files = 0
        self._closed = False
        sock.settimeout(SLICE_S)

    def secure(self, host: str, context: ssl.SSLContext | None = None) -> TcpConnection:
        """The same connection inside TLS; by default with any certificate, as most cameras made their own."""
        if context is None:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            sock = context.wrap_socket(self._sock, server_hostname=host, do_handshake_on_connect=False)
            self._sock = sock
            sock.settimeout(SLICE_S)
            while True:
                try:
                    sock.do_handshake()
                    return self
                except TimeoutError:
                    self._deadline.check()
        except ssl.SSLError as error:
            self.disconnect()
            reason = getattr(error, "verify_message", "") or error.reason or error
            raise ConnectionLostError(f"TLS does not come about: {reason}") from error
        except (OSError, ValueError):
            self.disconnect()
            raise

    def receive(self, buffer: Any) -> int:
        """Read what is there, at least a byte; 0 at the end.

        Raises:
            ConnectionLostError: nothing came for too long, or the time is over.
        """
        begun = time.monotonic()
        while True:
            self._deadline.check()
            if (size := self.receive_soon(buffer)) is not None:
                return size
            silence_s = self._deadline.silence_s
            if time.monotonic() - begun >= silence_s:
                raise ConnectionLostError(f"no data for {silence_s:.0f} s")

    def receive_soon(self, buffer: Any) -> int | None:
        """Read what is there; None when nothing came for `SLICE_S`."""
        try:
            return self._sock.recv_into(buffer)
        except TimeoutError:
            return None

    def sendall(self, data: bytes | bytearray) -> None:
        """Send all of it."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._sock.send(rest) :]
            except TimeoutError:
                self._deadline.check()

    def makefile(self, *_: Any, **__: Any) -> io.BufferedReader:
        """A file that reads from the connection."""
        self._files += 1
        return io.BufferedReader(_Reader(self))

    def close(self) -> None:
        """Close, with the last file that was made of it."""
        self._closed = True
        if not self._files:
            self.disconnect()

    def close_file(self) -> None:
        """One of the files is closed."""
        self._files -= 1
        if self._closed and not self._files:
            self.disconnect()

    def disconnect(self) -> None:
        """Close in any case."""
        self._sock.close()

    def fileno(self) -> int:
        """For `select`."""
        return self._sock.fileno()

    def pending(self) -> int:
        """Bytes that TLS has decrypted already, of which `select` knows nothing."""
        return self._sock.pending() if isinstance(self._sock, ssl.SSLSocket) else 0


class _Reader(io.RawIOBase):
    def __init__(self, connection: TcpConnection) -> None:
        self._connection = connection

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._connection.receive(buffer)

    def close(self) -> None:
        if not self.closed:
            self._connection.close_file()
        super().close()


def connect_tcp(host: str, port: int, deadline: Deadline) -> TcpConnection:
    """Connect to the first address of a host that answers.

    Raises:
        ConnectionLostError: none does, or the time is over.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ConnectionLostError(f"the name {host} is not known: {plain_reason(error)}") from error
    reason = "no address"
    for family, kind, protocol, _, address in found:
        sock = socket.socket(family, kind, protocol)
        try:
            _connect(sock, address, deadline)
        except OSError as error:
            sock.close()
            deadline.check()
            reason = plain_reason(error)
        else:
            return TcpConnection(sock, deadline)
    raise ConnectionLostError(reason)


def _connect(sock: socket.socket, address: Any, deadline: Deadline) -> None:
    sock.setblocking(False)
    number = sock.connect_ex(address)
    if number in (errno.EINPROGRESS, errno.EWOULDBLOCK):
        with selectors.DefaultSelector() as selector:
            selector.register(sock, selectors.EVENT_WRITE)
            while not selector.select(SLICE_S):
                deadline.check()
        number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if number:
        raise OSError(number, os.strerror(number))
