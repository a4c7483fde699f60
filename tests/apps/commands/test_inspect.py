"""`vljepa inspect` on a small bundle written for the test."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from vljepa_apps.commands.inspect import parts, window
from vljepa_apps.main import main
from vljepa_evaluation.gates import REFERENCE_FILE, Reference
from vljepa_runtime.bundle import Bundle, Calibration, GraphSpec, Manifest, Parity, write_bundle
from vljepa_runtime.contract import TensorSpec
from vljepa_runtime.preprocessing.preprocess import Preprocess


def tensor(name: str, *shape: int | str) -> TensorSpec:
    return TensorSpec(name=name, dtype="float32", shape=shape)


def field(number: int, *content: bytes) -> bytes:
    """One field of a protobuf message."""
    data = b"".join(content)
    size = bytes([len(data)]) if len(data) < 128 else bytes([len(data) & 127 | 128, len(data) >> 7])
    return bytes([number << 3 | 2]) + size + data


def graph_file(size: int) -> bytes:
    """An ONNX file of some size that adds five inputs; written by hand, as this test needs no onnx."""
    names = [f"in{i}".encode() for i in range(5)]
    node = field(1, *(field(1, name) for name in names), field(2, b"visual"), field(4, b"Sum"))
    model = field(7, node, *(field(11, field(1, name)) for name in names))
    return model + field(6, b"x" * (size - len(model) - 3))


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle with one graph of 3,000 bytes and five inputs."""
    manifest = Manifest(
        name="toy",
        license="Apache-2.0",
        created="2026-01-01T00:00:00Z",
        precision={"toy_graph": "int8-dynamic"},
        graphs={
            "toy_graph": GraphSpec(
                file="toy_graph.onnx",
                external=("toy_graph.bin",),
                inputs=tuple(tensor(f"in{i}", "B", 4) for i in range(5)),
                outputs=(tensor("visual", "B", "N", 8),),
            )
        },
        preprocess=Preprocess(),
        tokenizers={},
        embedding_dim=8,
        prompts={"caption": "What is happening?"},
        calibration=Calibration(data="world", samples=64, seed=7),
        parity={"toy_graph": Parity(cosine=0.99987, max_abs=0.0125, psnr_db=41.5)},
        toolchain={"onnx": "1.0"},
    )
    path = tmp_path / "toy.vljepa"
    write_bundle(path, manifest, {"toy_graph.onnx": graph_file(1000), "toy_graph.bin": b"y" * 2000})
    return path


def test_text_names_what_matters(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(bundle)]) == 0
    out, err = capsys.readouterr()
    lines = {line.split()[0]: line.split(maxsplit=1)[1] for line in out.splitlines() if len(line.split()) > 1}
    assert lines["size"] == "3.0 kB"
    assert lines["tokens"].startswith("256 = 4 x 8 x 8")
    assert "What is happening?" in lines["caption"]
    assert "int8-dynamic" in out
    assert "in2 (B, 4) float32, 2 more" in out
    assert "0.999870" in out
    assert "accuracy\n  n/a" in out
    assert "64 samples of world, seed 7" in out
    assert "8 at 4 a second = 2 s of a stream" in out
    assert "8 spread evenly over its time on show" in out
    assert "96 x 96 (crop)" in out
    assert err == ""


def test_the_window_of_an_imported_model() -> None:
    pre = Preprocess(
        resize="antialias", short_side=110, crop_offset="floor", sampling="frames", picks="floor"
    )
    rows = dict(window(pre))
    assert rows["of a clip"] == "8 spread evenly over all its frames by number"
    assert rows["pixels"] == "96 x 96 (antialias, short side 110, crop offset floor)"


def test_json_is_the_manifest(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(bundle), "--json"]) == 0
    manifest = json.loads(capsys.readouterr().out)
    assert manifest["name"] == "toy"
    assert manifest["files"]["toy_graph.bin"]["size"] == 2000
    assert Manifest.from_dict(manifest).graphs["toy_graph"].external == ("toy_graph.bin",)


def test_a_damaged_bundle_is_one_sentence(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damaged = bundle.read_bytes().replace(graph_file(1000), b"x" * 999 + b"z")
    bundle.write_bytes(damaged)
    assert main(["inspect", str(bundle)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("vljepa: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err


def test_an_edited_manifest_is_printed_and_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Bundle.open("tiny") as tiny:
        files: dict[str, bytes | Path] = {name: tiny.read(name) for name in tiny.manifest.files}
        files[REFERENCE_FILE] = Reference.of(tiny).sealed(tiny.manifest).to_bytes()
        faster = replace(tiny.manifest.preprocess, fps=8.0)
        path = tmp_path / "edited.vljepa"
        write_bundle(path, replace(tiny.manifest, preprocess=faster), files)
    assert main(["inspect", str(path)]) == 1
    out, err = capsys.readouterr()
    assert "8 at 8 a second" in out
    assert "edited after it was judged" in out
    assert "(preprocess.fps)" in err
    assert err.count("\n") == 1


def test_an_unknown_name_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "no-such-bundle"]) == 1
    assert "no-such-bundle" in capsys.readouterr().err


def test_the_shipped_bundle_says_what_it_knows_and_scores(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "tiny"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^  knows +drawn shapes and hand signs, nothing else$", out, re.MULTILINE)
    assert re.search(r"^accuracy\n  classification top1_of_128 +0\.9\d+$", out, re.MULTILINE)


def test_a_note_on_every_graph_is_printed_once(bundle: Path) -> None:
    with Bundle.open(bundle) as opened:
        graphs = dict.fromkeys(("one", "two"), opened.manifest.graphs["toy_graph"])
        notes = dict.fromkeys(graphs, "built, not run; " + "a long story " * 12)
        manifest = replace(opened.manifest, graphs=graphs, notes=notes)
    rows = next(table.rows for table in parts(manifest) if table.title == "notes")
    lines = [line for (line,) in rows]
    assert lines[:2] == ["built, not run", lines[1]]
    assert len(lines) == 3  # the story takes two
    assert max(map(len, lines)) <= 98


def test_a_precision_of_a_later_version_is_shown(bundle: Path) -> None:
    manifest = replace(Bundle.open(bundle).manifest, precision={"toy_graph": "fp3-later"})
    shown = [table for table in parts(manifest) if table.title == "graphs"]
    assert "fp3-later" in str(shown[0].rows)
