"""The umbrella: exit codes, one sentence per mistake, nothing loaded before it is needed."""

from __future__ import annotations

import argparse
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from vljepa_apps import main as umbrella
from vljepa_runtime.errors import EngineError, InputError, MissingExtraError, SourceError

SetCommand = Callable[[Callable[[argparse.Namespace], int]], None]


@pytest.fixture
def fake_command(monkeypatch: pytest.MonkeyPatch) -> SetCommand:
    """Puts a command `run` of our own in place of the real one."""
    monkeypatch.delenv("VLJEPA_DEBUG", raising=False)

    def put(run: Callable[[argparse.Namespace], int]) -> None:
        module = types.ModuleType("vljepa_apps.commands.run")
        module.add_arguments = lambda parser: parser.add_argument("--n", type=int)  # type: ignore[attr-defined]
        module.run = run  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, module.__name__, module)

    return put


def raising(error: BaseException) -> Callable[[argparse.Namespace], int]:
    def run(args: argparse.Namespace) -> int:
        raise error

    return run


def test_help_lists_the_commands_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert umbrella.main(["--help"]) == 0
    out, err = capsys.readouterr()
    assert "vljepa COMMAND" in out
    assert all(f"\n  {name} " in out for name in umbrella.COMMANDS)
    assert err == ""


def test_no_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert umbrella.main([]) == 2
    assert "usage" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("rn", "did you mean `vljepa run`?"),
        ("classfy", "did you mean `vljepa classify`?"),
        ("xyzzy", "commands: demo"),
    ],
)
def test_a_misspelt_command_gets_a_hint(typed: str, hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert umbrella.main([typed]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert hint in err


def test_the_code_of_the_command_is_the_exit_code(fake_command: SetCommand) -> None:
    fake_command(lambda args: args.n)
    assert umbrella.main(["run", "--n", "7"]) == 7


def test_a_wrong_option_is_a_usage_error(
    fake_command: SetCommand, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_command(lambda args: 0)
    with pytest.raises(SystemExit) as stopped:
        umbrella.main(["run", "--n", "many"])
    assert stopped.value.code == 2
    assert "--n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (SourceError("cannot open a.mp4:\n  no such file"), "vljepa: cannot open a.mp4: no such file\n"),
        (EngineError("no cuda here"), "vljepa: no cuda here\n"),
        (InputError("expected a label"), "vljepa: expected a label\n"),
        (PermissionError(13, "Permission denied", "/x/y"), "vljepa: Permission denied: /x/y\n"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_mistake_is_one_sentence(
    error: Exception, expected: str, fake_command: SetCommand, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_command(raising(error))
    assert umbrella.main(["run"]) == 1
    assert capsys.readouterr() == ("", expected)


def test_a_missing_extra_names_the_pip_command(
    fake_command: SetCommand, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_command(raising(MissingExtraError("torch", "train")))
    assert umbrella.main(["run"]) == 1
    assert MissingExtraError.install_command("train") in capsys.readouterr().err


def test_a_bug_of_ours_keeps_its_traceback(fake_command: SetCommand) -> None:
    fake_command(raising(RuntimeError("a bug")))
    with pytest.raises(RuntimeError, match="a bug"):
        umbrella.main(["run"])


def test_debug_lets_the_traceback_through(fake_command: SetCommand, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_command(raising(SourceError("gone")))
    monkeypatch.setenv("VLJEPA_DEBUG", "1")
    with pytest.raises(SourceError, match="gone"):
        umbrella.main(["run"])


def test_ctrl_c_is_quiet(fake_command: SetCommand, capsys: pytest.CaptureFixture[str]) -> None:
    fake_command(raising(KeyboardInterrupt()))
    assert umbrella.main(["run"]) == 130
    assert capsys.readouterr() == ("", "")


def test_a_reader_that_goes_away_is_quiet(tmp_path: Path) -> None:
    program = tmp_path / "flood.py"
    program.write_text(
        "import sys, types\n"
        "command = types.ModuleType('vljepa_apps.commands.run')\n"
        "command.add_arguments = lambda parser: None\n"
        "def run(args):\n"
        "    while True: print('x' * 1000, flush=True)\n"
        "command.run = run\n"
        "sys.modules[command.__name__] = command\n"
        "from vljepa_apps.main import main\n"
        "sys.exit(main(['run']))\n"
    )
    with subprocess.Popen(
        [sys.executable, program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=30) == 141
