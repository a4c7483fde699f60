"""`make docs`: the help of every command as one Markdown page that cannot drift from the code."""

from __future__ import annotations

import argparse
import importlib
import sys
from typing import cast

from vljepa_apps.commands import COMMANDS, module_of
from vljepa_apps.main import Command, parser_of
from vljepa_runtime.files.atomic import replace_file

__all__ = ["reference"]

WIDTH = 100
HEAD = """# Commands

Written by `make docs` from the commands themselves. Exit codes: 0 done, 1 failure, 2 wrong usage,
130 interrupted (Ctrl-C, SIGTERM, SIGHUP), 141 the reader of stdout went away."""


def reference() -> str:
    """The whole page."""
    return "\n\n".join([HEAD, *(section(name) for name in COMMANDS)]) + "\n"


def section(name: str) -> str:
    """One command's heading and help."""
    command = cast(Command, importlib.import_module(module_of(name)))
    parser = parser_of(name, command)
    parser.formatter_class = lambda prog: argparse.HelpFormatter(prog, width=WIDTH)
    return f"## vljepa {name}\n\n```text\n{parser.format_help().rstrip()}\n```"


if __name__ == "__main__":
    replace_file(sys.argv[1], reference().encode())
