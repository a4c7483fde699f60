"""Five newcomers go their way by what the pages show, from the first block to the last.

A block belongs to a journey where `<!-- journey: NAME STEP -->` stands above it, so the pages are what is tested.
Cameras are a file, weights are small random ones, training and export are made short (`FILES`, `SHORTER`). A line that
another newcomer has run leaves what it left there (`WRITES`). Lines that need a network, another machine or the rights
of root are counted and shown, and not run (`NOT_RUN`).
"""

from __future__ import annotations

import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from vljepa_apps.demo.stream import write_video
from vljepa_apps.main import main
from vljepa_data.world import Split, make_stream

JOURNEYS = {  # name -> who goes it, and how many lines and blocks it has
    "camera": ("someone with a webcam and a Raspberry Pi", 17),
    "weights": ("a researcher with weights", 16),
    "app": ("an app developer", 8),
    "clips": ("a student with 50 clips", 8),
    "engine": ("a contributor with a new engine", 12),
}
NOT_RUN = {  # how a line begins -> what it needs
    "git clone": "the network",
    "python3 -m venv": "the network",
    "pip install": "the network",
    "hf download": "the network",
    "make": "minutes; CI runs it",
    "sudo": "the rights of root",
    "ls -l /dev": "a camera",
    "journalctl": "a running service",
    "tail": "a running service",
}
FILES = {  # what a page names -> what stands for it
    "0": "camera.mp4",
    "rtsp://user:password@10.0.0.5/stream1": "camera.mp4",
    "own": "llama",  # the Y-decoder of 0.23 B
}
SHORTER = {  # how a line goes on after `vljepa` -> what is added to it
    "demo": ["--minutes", "0.25"],
    "import parts": ["--layers", "2", "--dim", "24", "--frames", "4"],
    "train": ["--steps", "1", "--batch", "2", "--warmup", "1", "--workers", "0"],
    "export": ["--precision", "fp32", "--gates", "graphs"],
}
WRITES = {  # lines that are slow and the same in several journeys -> what they leave behind
    "vljepa doctor": "",
    "vljepa demo": "demo-out",
    "vljepa export runs/mine/checkpoint -o mine.vljepa": "mine.vljepa",
}
MARKED = re.compile(r"<!-- journey: ([\w ,]+) -->\n\n(```.*?\n```\n|(?:    [^\n]*\n)+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """What a page shows at one point of a journey."""

    number: int
    page: Path
    text: str


def blocks_of(journey: str, docs: ModuleType) -> list[Block]:
    """The blocks of one journey, in its order."""
    found = []
    for path in docs.PAGES:
        for tags, text in MARKED.findall(docs.page(path)):
            numbers = [int(tag.split()[1]) for tag in tags.split(", ") if tag.split()[0] == journey]
            found += [Block(number, path, text) for number in numbers]
    found.sort(key=lambda block: block.number)
    assert [block.number for block in found] == list(range(1, len(found) + 1))
    return found


def run_line(line: str, seen: dict[str, Path]) -> str:
    """Run one line of a shell block where we are; what is told of it."""
    if reason := next((why for start, why in NOT_RUN.items() if line.startswith(start)), ""):
        return f"{line}    (not run: needs {reason})"
    here = Path.cwd()
    if before := seen.get(line):
        if name := WRITES[line]:
            copy = shutil.copytree if (before / name).is_dir() else shutil.copy
            copy(before / name, here / name)
        return f"{line}    (run before)"
    program, command, *words = shlex.split(line)
    assert program == "vljepa", f"{line}: neither a command of ours nor one of NOT_RUN"
    words = [FILES.get(word, word) for word in words]
    shorter = next((more for start, more in SHORTER.items() if line.startswith(f"vljepa {start}")), [])
    assert main([command, *words, *shorter]) == 0, line
    if line in WRITES:
        seen[line] = here
    return line


@pytest.fixture(scope="module")
def seen() -> dict[str, Path]:
    """Lines that need not be run again, and where they were run."""
    return {}


@pytest.fixture
def place(public: ModuleType, published: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a newcomer works: a camera, a clip, a table of clips, folders of weights."""
    monkeypatch.chdir(tmp_path)
    write_video(make_stream(3, Split.TEST, minutes=0.1, size=128, fps=8), tmp_path / "clip.mp4", fps=8)
    for copy in ("camera.mp4", "clips/001.mp4", "clips/002.mp4", "clips/003.mp4"):
        (tmp_path / copy).parent.mkdir(exist_ok=True)
        shutil.copy(tmp_path / "clip.mp4", tmp_path / copy)
    rows = ["path,text,split", "clips/001.mp4,a person falls,train", "clips/002.mp4,nobody falls,train"]
    (tmp_path / "clips.csv").write_text("\n".join([*rows, "clips/003.mp4,nobody falls,val"]))
    for name in ("vision", "llama", "gemma"):
        (tmp_path / name).mkdir()
        getattr(public, f"write_{name}")(tmp_path / name)
    (tmp_path / "open-vljepa").mkdir()
    state, options = published.Reference(tmp_path).state(), published.options(data={"image_size": 16})
    published.save(tmp_path / "open-vljepa", "best.pt", state, options)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("journey", JOURNEYS)
def test_journey(
    journey: str,
    docs: ModuleType,
    project_copy: ModuleType,
    place: Path,
    seen: dict[str, Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    told, shown = [], []
    for block in blocks_of(journey, docs):
        if files := project_copy.blocks(block.text):
            shown += files
            told += [f"write {name}" for _, name, _ in files]
        elif block.text.startswith("```python"):
            code = block.text.removeprefix("```python\n").removesuffix("```\n")
            exec(compile(code, str(block.page), "exec"), {"__name__": "example"})
            told.append(f"python: a block of {block.page.name}")
        else:
            told += [run_line(line, seen) for line in docs.shell_lines(block.text)]
    if shown:
        tests = [str(place / name) for _, name, _ in shown if name.startswith("tests/")]
        project_copy.make_copy(place, shown)
        assert project_copy.passed(place, *tests) == len(tests)
        told.append("pytest: the test that is shown")
    who, steps = JOURNEYS[journey]
    with capsys.disabled():
        print(f"\n{who}, {len(told)} steps:", *told, sep="\n  ")
    assert len(told) == steps
