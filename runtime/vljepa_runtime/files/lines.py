"""Lines of a text file: they end at a line feed, as every format here says, and at nothing else.

`str.splitlines` also cuts at form feeds, U+0085 and U+2028, which JSON and CSV allow inside a text.
"""

from __future__ import annotations

__all__ = ["split_lines"]


def split_lines(text: str, *, keepends: bool = False) -> list[str]:
    """Cut at line feeds; a carriage return before one belongs to the ending.

    Args:
        text: Content of a file, its line endings as they are.
        keepends: Leave the endings on.
    """
    lines = text.split("\n")
    if keepends:
        return [*(f"{line}\n" for line in lines[:-1]), *([lines[-1]] if lines[-1] else [])]
    if not lines[-1]:
        lines.pop()
    return [line.removesuffix("\r") for line in lines]
