"""Hostile graphs through every command: one sentence, exit code 1, little memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from vljepa_apps.main import main

CASES = Path(__file__).parents[2].parent / "shared" / "cases"
LIMIT_KB = 300 << 10
# Runs a command, or loads alone, and leaves the most memory that this process ever had.
PROGRAM = """
import sys, vljepa_runtime as vj
from vljepa_apps.main import main
peak, command, bundle, *more = sys.argv[1:]
try:
    code = main([command, bundle, *more]) if command != "load" else bool(vj.load(bundle))
except vj.VljepaError as error:
    print(f"vljepa: {error}", file=sys.stderr)
    code = 1
with open("/proc/self/status") as status, open(peak, "w") as file:
    file.write(next(line.split()[1] for line in status if line.startswith("VmHWM")))
sys.exit(code)
"""
OUTPUTS = {
    "x_encoder": "visual",
    "predictor": "embedding",
    "y_encoder": "embedding",
    "y_decoder_prefill": "logits",
}
NAMES = ("const6g", "ext_unlisted", "loop", "nan")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures."""
    cv2 = pytest.importorskip("cv2")
    folder = tmp_path_factory.mktemp("clip")
    for index in range(8):
        cv2.imwrite(str(folder / f"{index}.png"), np.full((128, 128, 3), 20 * index, np.uint8))
    return folder


@pytest.fixture(scope="module")
def bundles(hostile_bundles: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The shipped bundle with each hostile X-encoder, and the file that one of them wants to read."""
    if not (CASES / "hostile").is_dir():
        pytest.skip("no shared/cases beside the checkout")
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "secret.bin").write_bytes(b"\1\2\3\4")
    return {
        name: hostile_bundles.write_hostile(
            folder / f"{name}.vljepa",
            {"x_encoder.onnx": (CASES / "hostile" / f"{name}.onnx").read_bytes()},
            archive=name != "ext_unlisted",
        )
        for name in NAMES
    }


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="needs a process's own account of its memory"
)
@pytest.mark.parametrize("command", ["run", "inspect", "verify", "load"])
@pytest.mark.parametrize("name", NAMES)
def test_one_sentence_and_little_memory(
    name: str, command: str, bundles: dict[str, Path], clip: Path, tmp_path: Path
) -> None:
    bundle, peak = bundles[name], tmp_path / "peak"
    words = [str(peak), command, str(bundle), *([str(clip)] if command == "run" else [])]
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, cwd=bundle.parent, timeout=60
    )
    assert result.returncode == 1
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("vljepa: tiny/x_encoder: ")
    assert int(peak.read_text()) < LIMIT_KB


@pytest.fixture(scope="module")
def divided(hostile_bundles: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Bundles that give NaN only when they run, per graph that does."""
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    files = hostile_bundles.read_bundle()
    made = {}
    for name, output in OUTPUTS.items():
        model = onnx.load_from_string(files[f"{name}.onnx"])
        for node in model.graph.node:
            node.output[:] = ["right" if each == output else each for each in node.output]
        zero = helper.make_node("Sub", ["right", "right"], ["zero"])
        model.graph.node.extend([zero, helper.make_node("Div", ["zero", "zero"], [output])])
        made[name] = hostile_bundles.write_hostile(
            tmp_path_factory.mktemp("nan") / "b.vljepa", {f"{name}.onnx": model.SerializeToString()}
        )
    return made


@pytest.mark.parametrize(
    ("graph", "command"),
    [
        ("x_encoder", "run"),
        ("x_encoder", "embed"),
        ("x_encoder", "verify"),
        ("predictor", "classify"),
        ("y_encoder", "ask"),
        ("y_decoder_prefill", "run"),
    ],
)
def test_what_is_not_finite_is_an_error(
    graph: str, command: str, divided: dict[str, Path], clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = {
        "run": [str(clip), "--decode", "always"],
        "embed": [str(clip), "--json"],
        "classify": [str(clip), "--label", "a ball", "--label", "a box", "--json"],
        "ask": [str(clip), "How many?", "--label", "one", "--label", "two", "--json"],
        "verify": ["--json"],
    }
    assert main([command, str(divided[graph]), *more[command]]) == 1
    printed = capsys.readouterr()
    assert "NaN" not in printed.out
    told = [line for line in printed.err.splitlines() if line.startswith("vljepa: ")]
    assert len(told) == 1
    assert f"{graph} gave " in told[0]
    assert "that is not finite on onnxruntime:cpu" in told[0]
