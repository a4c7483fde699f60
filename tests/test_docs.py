"""What the README and the pages show is what happens: examples run, commands parse, links lead somewhere."""

from __future__ import annotations

import importlib
import re
import shlex
import sys
from dataclasses import fields
from pathlib import Path
from typing import cast

import pytest

from vljepa_apps.commands import COMMANDS, module_of
from vljepa_apps.main import Command, main, parser_of
from vljepa_apps.reference import reference
from vljepa_runtime.events import Event, LatencyMs

ROOT = Path(__file__).resolve().parents[1]
CARD = ROOT / "model/vljepa_model/checkpoints/tiny/MODEL_CARD.md"
PAGES = [*sorted(ROOT.glob("*.md")), CARD, *sorted((ROOT / "docs").rglob("*.md"))]
LONGEST = 150  # characters of a line outside tables


def page(path: Path) -> str:
    """The text of a page."""
    return path.read_text(encoding="utf-8")


def named(paths: list[Path]) -> list[object]:
    """Parameters with readable names."""
    return [pytest.param(path, id=str(path.relative_to(ROOT))) for path in paths]


def examples(text: str) -> list[tuple[str, str]]:
    """Python blocks with the output that stands below."""
    return re.findall(r"```python\n(.*?)```\n+```(?:text)?\n(.*?)```", text, re.DOTALL)


def shell_lines(text: str) -> list[str]:
    """Lines of indented blocks, continued ones joined, without comments."""
    joined = re.sub(r" *\\\n +", " ", text)
    return [re.split(r"\s+#", line)[0] for line in re.findall(r"^    (.*)$", joined, re.MULTILINE)]


def commands(text: str) -> list[str]:
    """Those that call `vljepa`, from there on."""
    found = (re.match(r"(?:.*?[/ ])?(vljepa [a-z].*)$", line) for line in shell_lines(text))
    return [re.split(r"\s+(?:&&|<|>) ", match[1])[0] for match in found if match]


def anchors(text: str) -> set[str]:
    """Where `#...` may lead on a page."""
    titles = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in titles}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `vljepa demo` has been: the pages' examples read its stream."""
    folder = tmp_path_factory.mktemp("demo")
    assert main(["demo", "--minutes", "0.25", "--out", str(folder / "demo-out")]) == 0
    return folder


@pytest.mark.parametrize("path", named([path for path in PAGES if examples(page(path))]))
def test_examples_print_what_is_written_below_them(
    path: Path, demo: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(demo)
    number = r"\d+\.\d+"
    for code, shown in examples(page(path)):
        exec(compile(code, str(path), "exec"), {"__name__": "example"})
        printed = capsys.readouterr().out
        assert re.sub(number, "N", printed).splitlines() == re.sub(number, "N", shown).splitlines()
        pairs = zip(re.findall(number, printed), re.findall(number, shown), strict=True)
        assert all(abs(float(one) - float(other)) < 0.05 for one, other in pairs)


def test_there_are_examples() -> None:
    counts = {path.name: len(examples(page(path))) for path in PAGES}
    assert counts["README.md"] >= 1
    assert counts["quickstart.md"] >= 1
    assert counts["python.md"] >= 4


@pytest.mark.parametrize("path", named([path for path in PAGES if commands(page(path))]))
def test_every_command_line_is_one_that_vljepa_takes(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for line in commands(page(path)):
        _, name, *arguments = shlex.split(line)
        if name in COMMANDS:
            command = cast(Command, importlib.import_module(module_of(name)))
            try:
                parser_of(name, command).parse_args(arguments)
            except SystemExit:
                pytest.fail(f"{line}: {capsys.readouterr().err}")


@pytest.mark.parametrize("path", named(PAGES))
def test_every_command_that_is_named_exists(path: Path) -> None:
    assert set(re.findall(r"`vljepa ([a-z]+)", page(path))) <= set(COMMANDS)


def test_the_readme_names_every_way_in() -> None:
    text = page(ROOT / "README.md")
    assert all(f"vljepa {name}" in text for name in ("demo", "run", "classify", "ask", "doctor"))


@pytest.mark.parametrize("path", named(PAGES))
def test_every_make_target_that_is_named_exists(path: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"(?:^    |`)make (\w+)", page(path), re.MULTILINE))
    assert [name for name in targets if not re.search(rf"^{name}:", makefile, re.MULTILINE)] == []


@pytest.mark.parametrize("path", named(PAGES))
def test_every_link_leads_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\(((?!\w+:)[^)]+)\)", page(path)):
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(page(target)), link


@pytest.mark.parametrize("path", named(PAGES))
def test_lines_can_be_read(path: Path) -> None:
    long = [line for line in page(path).splitlines() if len(line) > LONGEST and not line.startswith("|")]
    assert long == []


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="argparse words its usage another way from 3.13 on")
def test_the_page_of_commands_is_what_they_say() -> None:
    assert page(ROOT / "docs" / "commands.md") == reference(), "run: make docs"


def test_every_page_is_in_the_site() -> None:
    site = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")]
    assert [name for name in pages if name not in site] == []


def test_every_field_of_an_event_is_explained() -> None:
    text = page(ROOT / "docs" / "events.md")
    names = [item.name for item in fields(Event)] + [f"latency_ms.{item.name}" for item in fields(LatencyMs)]
    assert [name for name in names if f"| `{name}` |" not in text] == []


def test_the_rooms_of_the_runtime_are_drawn_as_they_are_held() -> None:
    held = (ROOT / "pyproject.toml").read_text(encoding="utf-8").split('containers = ["vljepa_runtime"]\n')[1]
    rows = [re.findall(r"\w+", row) for row in re.findall(r'"(.*?)"', held.split("\n]")[0])]
    drawn = page(ROOT / "docs" / "architecture.md").split("import those below it:\n\n")[1].split("\n\n")[0]
    assert [re.split(r"\s{3,}", line.strip())[0].split() for line in drawn.splitlines()] == rows


@pytest.mark.parametrize("path", named(sorted((ROOT / "docs" / "api").glob("*.md"))))
def test_the_api_names_what_is_public(path: Path) -> None:
    for package, name in re.findall(r"^::: ([\w.]+)\.(\w+)$", page(path), re.MULTILINE):
        assert name in importlib.import_module(package).__all__


def test_the_api_names_everything_that_the_runtime_offers() -> None:
    named_there = re.findall(r"^::: vljepa_runtime\.(\w+)$", page(ROOT / "docs/api/runtime.md"), re.MULTILINE)
    assert sorted(named_there) == sorted(importlib.import_module("vljepa_runtime").__all__)


@pytest.mark.parametrize("path", named(PAGES))
def test_every_file_that_is_named_is_there(path: Path) -> None:
    folders = "tests|runtime|data|evaluation|model|quant|export|apps|docs"
    text = re.sub(r'title="[^"]*"', "", page(path))  # of files that the page itself shows
    paths = re.findall(rf"(?<![\w/.:])((?:{folders})/[\w./-]*\w)", text)
    assert [name for name in paths if not re.search(r"\b[A-Z]+\b", name) and not (ROOT / name).exists()] == []


@pytest.mark.parametrize(
    "words",
    [
        "is not installed: run ",
        "no engine is called",
        "expected a .vljepa folder or file, or a shipped name",
        "does not exist; cameras found:",
        "give a file, a folder, a URL or a camera number",
        "of more than 8 bits, of which only the upper 8 are seen",
        "announced seconds are there; the file seems cut off",
        "is not in its place:",
        "exists: choose another name or pass --force (overwrite=True)",
        "which is not written through: name the file itself",
        "the installed ONNX Runtime has no",
        "expected a bundle made for",
        "only, what it says of anything else means nothing",
        "has no Y-decoder, so it can rank answers and not word one",
        "has no Y-decoder, so segments come without words",
        "engines that do not",
    ],
)
def test_a_message_that_is_explained_can_come(words: str) -> None:
    sources = "\n".join(path.read_text(encoding="utf-8") for path in ROOT.glob("*/vljepa_*/**/*.py"))
    assert words in re.sub(r'"\s*\n\s*f?"', "", sources)  # a message may stand on several lines
    assert words in page(ROOT / "docs" / "troubleshooting.md")
