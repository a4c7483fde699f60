"""coremltools, imported late and without its remarks: they would land in a user's terminal at every export."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from vljepa_runtime.errors import MissingEngineExtraError

__all__ = ["coremltools", "quiet"]

_LOGGER = "coremltools"  # its modules log to children of this one


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence coremltools: warnings about untested torch releases, libraries only Macs have, and progress bars.

    Errors still come as exceptions. Progress bars go to `sys.stderr`, so that is replaced meanwhile.
    """
    logger = logging.getLogger(_LOGGER)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def coremltools(module: str = "") -> Any:
    """The package, or one of its modules by name (`proto.MIL_pb2`).

    Raises:
        MissingEngineExtraError: it is not installed.
    """
    try:
        with quiet():
            return import_module(f"coremltools.{module}" if module else "coremltools")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "coremltools":
            raise MissingEngineExtraError("coremltools", "coreml") from error
        raise
