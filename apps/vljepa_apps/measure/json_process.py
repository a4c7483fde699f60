"""A process that answers in JSON lines on stdout, for the one that started it; progress goes to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

__all__ = ["answering", "say"]


def say(kind: str, **values: Any) -> None:
    """One JSON line."""
    print(json.dumps({"kind": kind} | values), flush=True)  # noqa: T201  (read by the process that started this one)


def answering(main: Callable[[list[str]], int]) -> int:
    """The exit code of the process: what our errors say becomes a line, and a signal is no error."""
    from vljepa_apps.signals import ending_as_interrupt
    from vljepa_runtime.errors import VljepaError

    try:
        with ending_as_interrupt():
            return main(sys.argv[1:])
    except KeyboardInterrupt:  # who started this one has the signal too, and says so
        return 130
    except VljepaError as error:
        say("error", message=str(error))
        return 1
