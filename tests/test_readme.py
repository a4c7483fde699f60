"""What the README shows is what happens: its first Python example runs on the shipped bundle and prints those lines."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vljepa_apps.commands import COMMANDS

README = (Path(__file__).parents[1] / "README.md").read_text()


def test_the_python_example_prints_what_is_written_below_it(capsys: pytest.CaptureFixture[str]) -> None:
    code, shown = re.findall(r"```python\n(.*?)```\n+```\n(.*?)```", README, re.DOTALL)[0]
    exec(compile(code, "README.md", "exec"), {})
    printed = capsys.readouterr().out

    def words(text: str) -> list[str]:
        return re.sub(r"score=[\d.]+", "", text).splitlines()

    assert words(printed) == words(shown)
    scores = zip(re.findall(r"score=([\d.]+)", printed), re.findall(r"score=([\d.]+)", shown), strict=True)
    assert all(abs(float(one) - float(other)) < 0.05 for one, other in scores)


def test_every_command_that_is_named_exists() -> None:
    named = set(re.findall(r"(?<!\.)vljepa ([a-z]+)", README))
    assert named <= set(COMMANDS)
    assert {"demo", "run", "train", "export", "compare"} <= named


@pytest.mark.parametrize("target", re.findall(r"^    make (\w+)", README, re.MULTILINE))
def test_every_make_target_that_is_named_exists(target: str) -> None:
    makefile = (Path(__file__).parents[1] / "Makefile").read_text()
    assert re.search(rf"^{target}:", makefile, re.MULTILINE)


@pytest.mark.parametrize("link", re.findall(r"\]\(((?!http)[^)]+)\)", README))
def test_every_link_leads_somewhere(link: str) -> None:
    assert (Path(__file__).parents[1] / link.partition("#")[0]).exists()
