"""A file behind `http(s)://` as something to read: every wait by the clock, drops resumed."""

from __future__ import annotations

import http.client
import re
import urllib.error
from collections.abc import Mapping
from urllib.parse import quote, unquote
from urllib.request import Request

from vljepa_runtime.errors import SourceError
from vljepa_runtime.printable import plain_reason
from vljepa_runtime.redaction import redact
from vljepa_runtime.sources.address import Address
from vljepa_runtime.sources.live.deadline import ConnectionLostError, Deadline
from vljepa_runtime.sources.network.http_opener import http_opener

__all__ = ["RefusedError", "WebFile"]

CHUNK = 1 << 16
HEAD = 4096  # bytes that tell what a file is
HEAD_AT_LEAST = 512  # servers send a line of it at a time
KEPT = 32 << 20  # a file of so many bytes is kept whole where its server takes no ranges
SKIP = 1 << 18  # a seek forward over fewer bytes reads them
PASSING = (408, 425, 429)  # what a later attempt may change
RANGELESS = (400, 416)  # of servers that know no ranges and say so
RESUMES = 5  # in a row that bring nothing
SAFE = "%/:=&?~+!$,;'@()*[]|"  # characters of a path that go as they are


class RefusedError(SourceError):
    """The server will not give this, with the code of its answer; `denied`: not to this user."""

    def __init__(self, message: str, *, code: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.denied = code in (401, 403)


class WebFile:
    """What a GET answers, as a file that PyAV can read.

    Args:
        address: `http://` or `https://`, with a login if needed.
        deadline: Ends every wait.
        headers: Sent with the first request.

    Attributes:
        name: Last part of the path, which helps to find the container's format.
        mime: Media type in lower case, without parameters.
        length: Bytes of the whole file, None when the server does not say.
        changed: False when the server says that what was asked for is still the same.

    Raises:
        SourceError: the server refuses.
        ConnectionLostError: it does not answer, or not with HTTP.
    """

    def __init__(
        self, address: Address, deadline: Deadline, *, headers: Mapping[str, str] | None = None
    ) -> None:
        url = address.secret_url(login=False).partition("#")[0]
        self.name = (
            unquote(url.partition("?")[0].partition("://")[2].partition("/")[2].rpartition("/")[2])
            or "stream"
        )
        self._url = quote(url, safe=SAFE)
        self._opener = http_opener(address.secret_login(), self._url, deadline)
        self._deadline = deadline
        self._position = self._at = 0  # where the reader is, and where the response is
        self._response = self._ask_first(dict(headers or {}))
        self.changed = self._response.status != 304
        self.headers = self._response.headers
        self.mime = self.headers.get_content_type().lower()
        self.length = _length(self._response)
        self._ranges = self._response.status == 206 or self.headers.get("Accept-Ranges") == "bytes"
        self._head = b""
        self._whole: bytes | None = None

    def head(self) -> bytes:
        """The first bytes, which a later `read` gives again."""
        if not self._head:
            while len(self._head) < HEAD_AT_LEAST and (data := self._more(HEAD)):
                self._head += data
                self._position = len(self._head)
            self._position = 0
        return self._head

    def read(self, size: int) -> bytes:
        """At most `size` bytes, none at the end; a drop before the known end is resumed.

        Raises:
            ConnectionLostError: the connection broke and cannot be resumed, or the time is over.
        """
        self._deadline.check()
        if self._whole is not None:
            data = self._whole[self._position : self._position + size]
        elif self._position < len(self._head):
            data = self._head[self._position : self._position + size]
        else:
            data = self._more(size)
        self._position += len(data)
        return data

    def read_all(self, limit: int) -> bytes:
        """Everything, for files that are small.

        Raises:
            ConnectionLostError: it breaks off, or is larger than `limit` bytes.
        """
        parts, size = [], 0
        while data := self.read(CHUNK):
            parts.append(data)
            size += len(data)
            if size > limit:
                raise ConnectionLostError(f"the server sends more than {limit >> 20} MB for one picture")
        return b"".join(parts)

    @property
    def takes_ranges(self) -> bool:
        """Whether it is a file of known length of which any part can be asked for."""
        return self.length is not None and self._ranges

    def seekable(self) -> bool:
        """Whether `seek` works: the length is known and the server takes ranges, or the file is small."""
        return self.takes_ranges or (self.length is not None and self.length <= KEPT)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move; nothing is asked for until the next `read`."""
        base = (0, self._position, self.length or 0)[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        """Position in bytes."""
        return self._position

    def close(self) -> None:
        """Hang up."""
        self._response.close()

    def _more(self, size: int) -> bytes:
        """Bytes at `_position` from the network."""
        if self._position < self._at and not self._ranges and self.seekable():
            return self._keep(size)
        if self.length is not None and self._position >= self.length:
            return b""
        for attempt in range(RESUMES):
            if attempt:
                self._deadline.sleep(0.2 * attempt)
            if attempt or not 0 <= self._position - self._at <= SKIP:
                self._resume()
            while (gap := self._position - self._at) > 0 and (skipped := self._receive(min(gap, CHUNK))):
                self._at += len(skipped)
            data = self._receive(size) if self._position == self._at else b""
            self._at += len(data)
            if data or self.length is None:
                return data
            self._deadline.check()
        raise ConnectionLostError(f"the server broke off after {self._at} of {self.length} bytes")

    def _keep(self, size: int) -> bytes:
        """Fetch all of it once more, for a container that wants to go back."""
        self._response.close()
        self._response, self._at = self._ask({}), 0
        parts = []
        while data := self._receive(CHUNK):
            self._deadline.check()
            parts.append(data)
            self._at += len(data)
        if self._at != self.length:
            raise ConnectionLostError(f"the server broke off after {self._at} of {self.length} bytes")
        self._whole = b"".join(parts)
        return self._whole[self._position : self._position + size]

    def _receive(self, size: int) -> bytes:
        try:
            return self._response.read1(size)
        except (http.client.HTTPException, ValueError) as error:
            raise ConnectionLostError(_fault(error)) from error
        except OSError as error:
            if self.takes_ranges:
                return b""  # it is resumed
            if isinstance(error, ConnectionLostError):
                raise
            raise ConnectionLostError(plain_reason(error)) from error

    def _resume(self) -> None:
        if not self._ranges:
            raise ConnectionLostError(
                f"the server broke off after {self._at} of {self.length} bytes and takes no ranges"
            )
        self._response.close()
        self._response = self._ask({"Range": f"bytes={self._position}-"})
        self._at = self._position if self._response.status == 206 else 0

    def _ask_first(self, headers: dict[str, str]) -> http.client.HTTPResponse:
        try:
            response = self._ask({"Range": "bytes=0-", **headers})
        except RefusedError as error:
            if error.code not in RANGELESS:
                raise
            response = self._ask(headers)
        if (coding := response.headers.get("Content-Encoding", "identity").lower()) != "identity":
            response.close()
            raise RefusedError(f"the server compresses what it sends with {coding}, though asked not to")
        return response

    def _ask(self, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        request = Request(self._url, headers={"User-Agent": "vljepa-edge", **headers})
        try:
            response = self._opener(request)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 304:
                return error  # type: ignore[return-value]  # has status, headers, read1 and close all the same
            if 300 <= error.code < 400:
                where = redact(str(error.headers.get("Location", "nowhere")))[:200]
                raise RefusedError(
                    f"the server redirects to {where}, round in circles or not to http(s)"
                ) from None
            words = f"the server answers {error.code} {error.reason}"
            if 400 <= error.code < 500 and error.code not in PASSING:
                raise RefusedError(words, code=error.code) from None
            raise ConnectionLostError(words) from None
        except urllib.error.URLError as error:
            words = redact(str(getattr(error.reason, "strerror", None) or error.reason))
            where = " at the proxy that the environment names" if request.has_proxy() else ""
            raise ConnectionLostError(words + where) from None
        except ConnectionLostError:
            raise
        except (http.client.HTTPException, OSError, ValueError) as error:
            raise ConnectionLostError(_fault(error)) from None
        return response


def _fault(error: Exception) -> str:
    if isinstance(error, http.client.RemoteDisconnected):
        return "the server hung up without an answer"
    if isinstance(error, http.client.BadStatusLine):
        return "the server does not speak HTTP"
    if isinstance(error, OSError):
        return plain_reason(error)
    words = redact(" ".join(str(error).split()))[:100]
    return f"the server breaks HTTP: {words if words.isprintable() else type(error).__name__}"


def _length(response: http.client.HTTPResponse) -> int | None:
    if match := re.fullmatch(r"bytes \d+-\d+/(\d+)", response.headers.get("Content-Range", "")):
        return int(match[1])
    return response.length if response.status == 200 else None
