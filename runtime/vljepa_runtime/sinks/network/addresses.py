"""The address of a receiver, as people give it: typed, or named by where it is kept, so that no secret is typed."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from pathlib import Path

from vljepa_runtime.errors import InputError, SourceError
from vljepa_runtime.printable import plain_reason
from vljepa_runtime.sources.address import Address

__all__ = ["receiver_address", "secret_text", "trusted"]

MAX_SECRET = 1 << 14  # bytes


def secret_text(text: str, *, variables: Mapping[str, str] = os.environ) -> str:
    """What a text stands for: `env:NAME` for a variable of the environment, `file:PATH` for the line in a file.

    Raises:
        InputError: it is no text, there is no such variable or file, or it is empty.

    Examples:
        >>> from vljepa_runtime.sinks import secret_text
        >>> secret_text("env:BROKER", variables={"BROKER": "mqtts://door:hunter2@broker/vljepa"})
        'mqtts://door:hunter2@broker/vljepa'
        >>> secret_text("mqtt://broker/vljepa")
        'mqtt://broker/vljepa'
    """
    if not isinstance(text, str):  # as a configuration may have it; it is not shown, for it may be a secret
        raise InputError(f"expected an address or a secret as text, got {type(text).__name__}")
    kind, _, name = text.partition(":")
    if kind == "env":
        found = variables.get(name, "").strip()
    elif kind == "file":
        try:
            with open(Path(name), encoding="utf-8") as file:
                found = file.read(MAX_SECRET).strip()
        except (OSError, ValueError) as error:
            raise InputError(f"cannot read {text}: {plain_reason(error)}") from error
    else:
        return text
    if not found:
        raise InputError(f"expected a text in {text}, got none: set it")
    return found


def receiver_address(text: str, schemes: Mapping[str, str]) -> Address:
    """An address of one of these schemes, whose values say how it looks.

    Raises:
        InputError: it is of another scheme, or cannot be taken apart.
    """
    address = Address(secret_text(text))
    if address.scheme not in schemes:
        raise InputError(f"expected an address such as {next(iter(schemes.values()))}, got {address}")
    try:
        address.check()
    except SourceError as error:
        raise InputError(str(error)) from error
    return address


class _TidySocket(ssl.SSLSocket):
    """Closed when its handshake fails, which paho-mqtt leaves to the garbage collector."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except TimeoutError:  # it goes on later, where somebody waits in slices
            raise
        except BaseException:
            self.close()
            raise


def trusted(authority: str | Path | None) -> ssl.SSLContext:
    """TLS that checks whom it talks to, by the system's authorities (`SSL_CERT_FILE`) and one more.

    Raises:
        InputError: the file of the authority cannot be read.
    """
    context = ssl.create_default_context()
    context.sslsocket_class = _TidySocket
    if authority is not None:
        try:
            context.load_verify_locations(os.fspath(authority))
        except (OSError, ssl.SSLError) as error:
            raise InputError(f"cannot read certificates from {authority}: {plain_reason(error)}") from error
    return context
