"""Certificate and key of HTTPS, looked at before anything starts: what is wrong with them is one sentence."""

from __future__ import annotations

import ssl
from pathlib import Path

from vljepa_runtime import InputError
from vljepa_runtime.printable import plain_reason
from vljepa_serve.config import ServerConfig

__all__ = ["check_tls"]

CERTIFICATE, KEY, LOCKED = "-----BEGIN CERTIFICATE-----", "PRIVATE KEY-----", "ENCRYPTED"
MOST_BYTES = 1 << 20


def check_tls(config: ServerConfig) -> None:
    """See that HTTPS can be spoken, where it is asked for.

    Raises:
        InputError: a file is missing or holds something else, the key is of another certificate, or it is locked.

    Examples:
        >>> from vljepa_serve.config import ServerConfig
        >>> from vljepa_serve.tls import check_tls
        >>> check_tls(ServerConfig())
        >>> check_tls(ServerConfig(tls_key="box.key"))
        Traceback (most recent call last):
        vljepa_runtime.errors.InputError: --tls-key needs --tls-cert, the certificates that it is the key of
    """
    if config.tls_cert is None:
        if config.tls_key is not None:
            raise InputError("--tls-key needs --tls-cert, the certificates that it is the key of")
        return
    certificates, place = _read(config.tls_cert, "certificates"), config.tls_key or config.tls_cert
    if CERTIFICATE not in certificates:
        raise InputError(f"{config.tls_cert} holds no certificate: expected PEM, as from openssl or certbot")
    key = _read(place, "key")
    if KEY not in key:
        more = "expected PEM, as from openssl or certbot" if config.tls_key else "give it as --tls-key"
        raise InputError(f"{place} holds no key: {more}")
    if LOCKED in key:
        raise InputError(f"{place} is locked by a password: store it without, readable for its user alone")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(config.tls_cert, place)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise InputError(
                f"{place} is not the key of {config.tls_cert}: give the two that were made together"
            ) from error
        raise InputError(f"{config.tls_cert} and {place} cannot be used: {plain_reason(error)}") from error


def _read(path: str, what: str) -> str:
    try:
        with Path(path).open("rb") as file:
            return file.read(MOST_BYTES).decode("ascii", "replace")
    except OSError as error:
        raise InputError(f"cannot read the {what} {path}: {plain_reason(error)}") from error
