"""The `vljepa` umbrella: finds the command, turns errors into one sentence and an exit code.

It imports a command only when that command is called, so `vljepa --help` touches nothing heavy.
"""

from __future__ import annotations

import argparse
import atexit
import importlib
import os
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, cast

from vljepa_apps import console
from vljepa_apps.commands import COMMANDS, module_of

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

__all__ = ["EXIT_FAILURE", "EXIT_INTERRUPTED", "EXIT_PIPE", "EXIT_USAGE", "main"]

EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
EXIT_PIPE = 141
NOISE = {  # what libraries write to stderr, or tell their makers, on their own; our messages say what the user needs
    "OPENCV_LOG_LEVEL": "SILENT",
    "OPENCV_FFMPEG_LOGLEVEL": "-8",
    "ORT_LOGGING_LEVEL": "3",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # a worker sees the GPUs that it was given
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_USAGE_STATS_PROMPT_ENABLED": "0",
}


class Command(Protocol):
    """What a module in `vljepa_apps.commands` offers."""

    EXAMPLE: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run `vljepa` with `argv` (the process's own by default).

    Returns:
        0 done, 1 the command could not do its job, 2 wrong usage, 130 interrupted, 141 the reader went away.
    """
    console.ensure_streams()
    args = list(sys.argv[1:] if argv is None else argv)
    code = guarded(lambda: dispatched(args), args)
    if code == EXIT_INTERRUPTED and argv is None and threading.active_count() > 1:
        leave(code)
    return code


def leave(code: int) -> NoReturn:
    """End the process although libraries still work in threads: they abort when the interpreter is taken down."""
    atexit._run_exitfuncs()  # what removes temporary folders
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    os._exit(code)


def dispatched(args: Sequence[str]) -> int:
    """Find the command and run it."""
    if not args or args[0] in ("-h", "--help", "help"):
        console.result(overview())
        return 0 if args else EXIT_USAGE
    if args[0] in ("-V", "--version"):
        from vljepa_runtime import __version__

        console.result(f"vljepa {__version__}")
        return 0
    if args[0] not in COMMANDS:
        return unknown_command(args[0])
    command = cast(Command, importlib.import_module(module_of(args[0])))
    return command.run(parser_of(args[0], command).parse_args(args[1:]))


def overview() -> str:
    """The text of `vljepa --help`."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {summary}" for name, summary in COMMANDS.items()]
    return "\n".join(
        ["usage: vljepa COMMAND [options]", "", "commands:", *lines, ""]
        + ["`vljepa COMMAND --help` explains one. `vljepa demo` needs nothing else and is a good start."]
    )


def unknown_command(name: str) -> int:
    """Say which command was probably meant; exit code of a usage error."""
    from vljepa_runtime.suggestions import did_you_mean

    hint = did_you_mean(name, COMMANDS, form="`vljepa {}`") or f"commands: {', '.join(COMMANDS)}"
    console.note(f"vljepa: there is no command {without_secrets(name, [name])!r}: {hint}")
    return EXIT_USAGE


class Parser(argparse.ArgumentParser):
    """Its messages repeat arguments, which may be URLs with a password or hold what a terminal would obey."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.color = False  # from Python 3.14 on argparse writes escape sequences of its own
        self._given: list[str] = []

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse as `ArgumentParser` does, and keep what was given for the messages."""
        self._given = list(args or ())
        return super().parse_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Print a usage error and exit with 2."""
        super().error(without_secrets(message, self._given))

    def _print_message(self, message: str, file: SupportsWrite[str] | None = None) -> None:
        show = console.result if file is sys.stdout else console.note
        show(message.removesuffix("\n"))


def without_secrets(text: str, argv: Sequence[str]) -> str:
    """A text that may repeat some of the arguments, without their passwords and tokens."""
    if not any(mark in text for mark in ("=", "@", ":/")):
        return text
    from vljepa_runtime.redaction import redact

    return redact(without_urls(text, argv))


def without_urls(text: str, argv: Sequence[str]) -> str:
    """The same of arguments that are URLs alone, so that a file's name stays as it is."""
    for given in argv:
        if ("://" in given or "@" in given) and not os.path.exists(given):
            text = without_url(text, given)
    return text


def without_url(text: str, url: str) -> str:
    """A text that may repeat one argument as it was typed, quoted, or as a path with its parent."""
    from pathlib import Path

    from vljepa_runtime.sources import Address

    shown = Address(url)
    for form in (url, repr(url)[1:-1], str(Path(url))):
        text = text.replace(form, shown)
        if "***@" in shown:
            text = text.replace(form.rpartition("@")[0], "***")
    return text


def print_without_secrets(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """As `sys.excepthook` prints a traceback; FFmpeg's errors repeat the URL."""
    for line in "".join(traceback.format_exception(kind, error, trace)).rstrip("\n").split("\n"):
        console.note(without_secrets(line, sys.argv) if ":/" in line else line)


def parser_of(name: str, command: Command) -> argparse.ArgumentParser:
    """The argument parser of one command."""
    parser = Parser(
        prog=f"vljepa {name}",
        description=COMMANDS[name][:1].upper() + COMMANDS[name][1:] + ".",
        allow_abbrev=False,
    )
    command.add_arguments(parser)
    return parser


def guarded(work: Callable[[], int], argv: Sequence[str] = ()) -> int:
    """Do what the arguments say; a mistake of the user becomes a sentence on stderr, not a traceback.

    `VLJEPA_DEBUG=1` in the environment lets the traceback through.
    """
    from vljepa_apps.signals import ending_as_interrupt

    debug = bool(os.environ.get("VLJEPA_DEBUG"))
    for key, value in NOISE.items():
        os.environ.setdefault(key, value)
    try:
        with ending_as_interrupt():
            code = work()
            console.flush()
            return code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        console.abandon_stdout()
        return EXIT_PIPE
    except Exception as error:
        if debug or not (message := sentence(error)):
            sys.excepthook = print_without_secrets
            raise
        console.note(f"vljepa: {without_urls(message, argv)}")
        return EXIT_FAILURE


def sentence(error: Exception) -> str:
    """One line for an error that the user can act on, empty for a bug of ours."""
    from vljepa_runtime.errors import VljepaError

    if isinstance(error, VljepaError):
        return " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    if isinstance(error, MemoryError):
        return "out of memory: use a smaller bundle, batch or resolution"
    return ""


if __name__ == "__main__":
    sys.exit(main())
