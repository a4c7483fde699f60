"""Lines end at a line feed and at nothing else."""

from __future__ import annotations

import pytest

from vljepa_runtime.files.lines import split_lines


@pytest.mark.parametrize("text", ["", "\n", "a", "a\n", "a\n\nb", "\r\n", "a\r\nb\rc\n"])
def test_lines_come_together_again(text: str) -> None:
    assert "".join(split_lines(text, keepends=True)) == text
    assert split_lines(text) == [
        line.rstrip("\n").removesuffix("\r") for line in split_lines(text, keepends=True)
    ]
