"""The examples in docstrings run and print what they say, and every public name is shown in one."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest
from project_packages import IMPORTED

from vljepa_apps.demo.stream import write_video
from vljepa_data.world import Split, make_stream

ROOT = Path(__file__).resolve().parents[1]
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)


def modules() -> list[str]:
    """Every module of the packages that a user imports."""
    found = []
    for package, folder in IMPORTED.items():
        inside = pkgutil.walk_packages([str(ROOT / folder / package)], prefix=f"{package}.")
        found += [package, *(info.name for info in inside)]
    return found


def with_examples() -> list[str]:
    """Those whose text has an example."""
    found = []
    for name in modules():
        path = ROOT / IMPORTED[name.partition(".")[0]] / name.replace(".", "/")
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if ">>> " in file.read_text(encoding="utf-8"):
            found.append(name)
    return found


def examples_in(name: str) -> list[doctest.DocTest]:
    """The examples of one module, its classes and functions."""
    return [
        test
        for test in doctest.DocTestFinder().find(importlib.import_module(name), globs={})
        if test.examples
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where examples run: `clip.mp4` shows six seconds of the procedural world, `clips.csv` says what."""
    place = tmp_path_factory.mktemp("examples")
    stream = make_stream(3, Split.TEST, minutes=0.1, size=128, fps=8)
    write_video(stream, place / "clip.mp4", fps=8)
    rows = [f"clip.mp4,{event.start_s},{event.end_s},{event.text}" for event in stream.events]
    (place / "clips.csv").write_text("\n".join(["path,start_s,end_s,text", *rows]), encoding="utf-8")
    return place


SLOW = ("vljepa_model.training.trainer",)  # three steps of a whole training


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in with_examples()]
)
def test_examples_print_what_they_say(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    runner = doctest.DocTestRunner(optionflags=OPTIONS, verbose=False)
    report: list[str] = []
    for test in examples_in(name):
        runner.run(test, out=report.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(report)


def public() -> list[str]:
    """Functions and classes that a root or a room offers; errors and protocols aside."""
    found = []
    for name in modules():
        module = importlib.import_module(name)
        if name.count(".") > 1 or not hasattr(module, "__path__") or not hasattr(module, "__all__"):
            continue
        for word in module.__all__:
            value = getattr(module, word)
            is_error = inspect.isclass(value) and issubclass(value, Exception)
            is_protocol = getattr(value, "_is_protocol", False)
            if (inspect.isfunction(value) or inspect.isclass(value)) and not is_error and not is_protocol:
                found.append(f"{name}.{word}")
    return found


def test_every_public_name_is_shown_in_an_example() -> None:
    tests = [test for name in with_examples() for test in examples_in(name)]
    shown = "\n".join(f"{example.source}{example.want}" for test in tests for example in test.examples)
    pages = "\n".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs").rglob("*.md"))
    words = set(re.findall(r"\w+", shown + "\n".join(PYTHON.findall(pages))))
    assert [name for name in public() if name.rpartition(".")[2] not in words] == []
