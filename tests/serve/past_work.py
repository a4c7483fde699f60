"""Work for the process that reads the past; it is imported there by name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from vljepa_serve.errors import ServeError

if TYPE_CHECKING:
    from vljepa_serve.archive import OpenLog


def whoami(opened: OpenLog) -> tuple[int, int]:
    """Its id, and how nice it is."""
    return os.getpid(), os.getpriority(os.PRIO_PROCESS, 0)


def refuse(opened: OpenLog, sentence: str) -> None:
    """Raise what a route answers with."""
    raise ServeError(409, sentence, field="moment", headers={"Retry-After": "1"})


def die(opened: OpenLog) -> None:
    """End as for want of memory."""
    os._exit(9)


def windows(opened: OpenLog) -> int:
    """How many the log holds."""
    return sum(each.windows for each in opened.log.store.held())
