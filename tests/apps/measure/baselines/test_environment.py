"""The packages of lines that Optimum exports: fetched once, kept, told in a sentence where that fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vljepa_apps.measure.baselines import environment
from vljepa_apps.measure.baselines.environment import PACKAGES, EnvironmentMissingError, activate, made
from vljepa_apps.measure.subject import Subject
from vljepa_runtime.errors import InputError, MissingExtraError

HERE = Path(__file__).parent


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder with nothing in it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_packages_are_fetched_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def run(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        Path(command[command.index("--target") + 1], "there").touch()
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(environment.subprocess, "run", run)
    folder = made()
    assert folder.parent == home / ".cache" / "vljepa" / "environments"
    assert [file.name for file in folder.iterdir()] == ["there"]
    assert made() == folder
    (command,) = asked
    assert command[:2] == [sys.executable, "-m"]
    assert command[-len(PACKAGES) :] == list(PACKAGES)
    assert "--no-deps" in command  # torch, ONNX and ONNX Runtime stay as they are


@pytest.mark.parametrize("fails", ["index", "time", "pip"])
def test_one_sentence_says_what_could_not_be_fetched(
    fails: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        if fails == "time":
            raise subprocess.TimeoutExpired(command, 600)
        if fails == "pip":
            raise FileNotFoundError(2, "No such file", command[0])
        return subprocess.CompletedProcess(
            command, 1, "", "WARNING: retrying\nERROR: No matching distribution"
        )

    monkeypatch.setattr(environment.subprocess, "run", run)
    with pytest.raises(
        EnvironmentMissingError, match=r"could not be fetched: .*connect to a package index once"
    ) as error:
        made()
    assert "\n" not in str(error.value)
    if fails == "index":
        assert "ERROR: No matching distribution" in str(error.value)
    assert list((home / ".cache" / "vljepa" / "environments").iterdir()) == []


def test_what_fits_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    wanted = dict(each.split("==") for each in PACKAGES)
    monkeypatch.setattr(environment, "version", wanted.__getitem__)
    monkeypatch.setattr(environment, "made", lambda: pytest.fail("nothing has to be fetched"))
    before = list(sys.path)
    activate()
    assert sys.path == before


def test_another_transformers_that_is_loaded_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.setattr(environment, "_fits", lambda: False)
    monkeypatch.setattr(environment, "version", lambda name: "5.23.0")
    monkeypatch.setitem(sys.modules, "transformers", pytest)
    with pytest.raises(InputError, match=r"expected no .* loaded before .* in a process of its own"):
        activate()


def test_what_is_not_installed_is_said_with_what_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "clip"}')
    monkeypatch.setattr(environment, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"torch is not installed: run  pip install .*\[baselines\]"):
        Subject(spec=f"hf:{tmp_path}").load()


@pytest.fixture(scope="module")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A user's folder in which the packages were fetched, and where they lie."""
    pytest.importorskip("torch")
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        try:
            return home, made()
        except EnvironmentMissingError as error:
            pytest.skip(str(error))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_lines_run_in_it(fetched: tuple[Path, Path]) -> None:
    """Every test of this folder that needs Optimum, in a process of its own: here they skip."""
    home, folder = fetched
    assert (folder / "optimum").is_dir()
    options = ["-p", "no:cacheprovider", "-q", "-rs", "--import-mode=importlib"]
    tests = [str(HERE / name) for name in ("test_dual_encoders.py", "test_token_vlms.py", "test_lines.py")]
    found = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *tests],
        env={**os.environ, "HOME": str(home), "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout[-3000:]
    assert "Optimum is not installed" not in found.stdout  # none of them skips for want of Optimum


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_command_takes_a_line_beside_a_bundle(fetched: tuple[Path, Path]) -> None:
    """From an environment with another transformers, which wrote the folder, and the runtime's tokenizers before."""
    home, _ = fetched
    writer = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import baseline_folders
baseline_folders.write("clip", Path(sys.argv[2]))
"""
    tests = str(HERE.parents[2])
    subprocess.run(
        [sys.executable, "-c", writer, tests, str(home / "clip")],
        env={**os.environ, "HOME": str(home)},
        check=True,
    )
    command = ["compare", "tiny", f"hf:{home}/clip", "--tasks", "vqa/colour,captions", "--clips", "2"]
    code = f"import sys; from vljepa_apps.main import main; sys.exit(main({[*command, '--rounds', '1', '--json']!r}))"
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr[-3000:]
    report = json.loads(found.stdout)
    ours, line = report["subjects"]
    assert line["label"] == "hf:clip"
    assert line["tasks"]["captions"]["note"] == "cannot: it ranks texts and words none"
    assert line["tasks"]["vqa/colour"]["metrics"]["accuracy"]["n"] == 2
    assert {"x_encoder", "y_encoder", "window"} == {*line["latency"]} & {*ours["latency"]}
    assert not any(times["error"] for times in line["latency"].values())
    assert line["cold_start_s"] > 0
    assert line["peak_rss_mb"] > 0
