"""`make docs`: the help of every command as one Markdown page that cannot drift from the code."""

from __future__ import annotations

import argparse
import importlib
import sys
from typing import cast

from vljepa_apps.commands import COMMANDS, module_of
from vljepa_apps.main import Command, parser_of
from vljepa_runtime.files import replace_file

__all__ = ["reference"]

WIDTH = 88  # characters that a page shows without scrolling
HEAD = """# Commands

Written by `make docs` from the commands themselves. Exit codes: 0 done, 1 failure, 2 wrong usage,
130 interrupted (Ctrl-C, SIGTERM, SIGHUP), 141 the reader of stdout went away."""


def reference() -> str:
    """The whole page."""
    return "\n\n".join([HEAD, overview(), *(section(name) for name in COMMANDS)]) + "\n"


def overview() -> str:
    """What each command does, in a table that leads to it."""
    rows = [f"| [{name}](#vljepa-{name}) | {summary} |" for name, summary in COMMANDS.items()]
    return "\n".join(["| command | what it does |", "|---|---|", *rows])


def section(name: str) -> str:
    """One command's heading, an example and its help, with that of its kinds where it has some."""
    command = cast(Command, importlib.import_module(module_of(name)))
    helps = [formatted(parser) for parser in with_kinds(parser_of(name, command))]
    return "\n\n".join([f"## vljepa {name}", f"    {command.EXAMPLE}", *helps])


def with_kinds(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """A parser and those of its kinds, as `vljepa import` has them."""
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return [parser, *(kind for group in groups for kind in group.choices.values())]


def formatted(parser: argparse.ArgumentParser) -> str:
    """A parser's help as a block."""
    parser.formatter_class = lambda prog: argparse.HelpFormatter(prog, width=WIDTH)
    return f"```text\n{parser.format_help().rstrip()}\n```"


if __name__ == "__main__":
    replace_file(sys.argv[1], reference().encode())
