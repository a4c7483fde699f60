from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")

import numpy as np

import vljepa_export
from vljepa_apps.commands.export import next_steps, parse_precision, text
from vljepa_apps.demo.stream import write_video
from vljepa_apps.main import main
from vljepa_data.annotations import AnnotationFile
from vljepa_export import find_format
from vljepa_runtime.bundle import Calibration
from vljepa_runtime.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "mine"
    place.mkdir()
    (place / "config.json").write_text("{}")
    return place


@pytest.mark.parametrize(
    ("text", "expected"),
    [("int8", "int8"), ("x_encoder=int8, y_encoder=fp32", {"x_encoder": "int8", "y_encoder": "fp32"})],
)
def test_parse_precision(text: str, expected: Any) -> None:
    assert parse_precision(text) == expected


def test_parse_precision_refuses_half_a_pair() -> None:
    with pytest.raises(InputError, match="GRAPH=PRECISION"):
        parse_precision("x_encoder=int8,=fp32")


def test_mistakes_are_one_sentence_and_exit_1(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export", str(folder), "--precision", "int9"]) == 1
    assert "did you mean 'int8'" in capsys.readouterr().err
    assert main(["export", "tinny"]) == 1
    assert "does not exist" in capsys.readouterr().err
    (tmp_path / "mine.vljepa").write_bytes(b"here")
    assert main(["export", str(folder)]) == 1
    captured = capsys.readouterr()
    assert "--force" in captured.err
    assert captured.out == ""


def test_an_engine_is_built_before_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vljepa_runtime.engines.available_engines", lambda: ("onnxruntime:cpu",))
    path = Path("m.vljepa")
    plain = "next: vljepa inspect m.vljepa\n      vljepa run m.vljepa VIDEO"
    assert next_steps(path, find_format("onnx")) == plain
    assert next_steps(path, find_format("coreml")) == f"{plain}    # on the device"
    build, run = next_steps(path, find_format("tensorrt")).splitlines()[1:]
    assert build == "      vljepa build m.vljepa    # on the device, before it runs there"
    assert run == "      vljepa run m.vljepa VIDEO    # on the device"


def test_a_note_on_every_graph_is_printed_once() -> None:
    note = "built, not run: nothing here can run it"
    graphs = tuple(
        vljepa_export.GraphReport(
            name=name, precision="fp16", bytes=9, nodes=1, parity=None, seconds=0.1, note=note + more
        )
        for name, more in (("x_encoder", "; 3 nodes kept in fp32"), ("predictor", ""))
    )
    report = vljepa_export.ExportReport(path=Path("m"), bytes=9, shared_bytes=0, graphs=graphs, seconds=0.1)
    assert text(report).splitlines()[-4:-1] == ["notes:", f"  {note}", "  x_encoder: 3 nodes kept in fp32"]


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_result_goes_to_stdout_and_the_next_step_to_stderr(
    as_json: bool,
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from vljepa_export.parity import GraphParity

    asked: dict[str, Any] = {}
    parity = GraphParity(
        mean_cosine=0.999, p1_cosine=0.99, worst_cosine=0.98, max_abs=0.1, psnr_db=44.0, rows=9
    )
    graph = vljepa_export.GraphReport(
        name="x_encoder",
        precision="fp32",
        bytes=2_000_000,
        nodes=99,
        parity=parity,
        seconds=1.0,
        note="kept in fp32: why",
    )

    def fake(checkpoint: str, out: Path, **options: Any) -> vljepa_export.ExportReport:
        asked.update(options, out=out)
        options["progress"](1, 2, "x_encoder")
        return vljepa_export.ExportReport(
            path=out, bytes=2_500_000, shared_bytes=0, graphs=(graph,), seconds=2.0
        )

    monkeypatch.setattr(vljepa_export, "export_bundle", fake)
    target = tmp_path / "new.vljepa"
    code = main(
        ["export", str(folder), "-o", str(target), "--precision", "x_encoder=int8", *["--json"] * as_json]
    )
    captured = capsys.readouterr()
    assert code == 0
    assert asked["precision"] == {"x_encoder": "int8"}
    if as_json:
        document = json.loads(captured.out)
        assert document["path"] == str(target)
        assert document["graphs"][0]["parity"]["worst_cosine"] == 0.98
    else:
        assert "2.0 MB" in captured.out
        assert "kept in fp32" in captured.out
        assert f"next: vljepa inspect {target}" in captured.err


def test_own_clips_are_looked_at_first_and_named(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "clips.csv").write_text("path,text\na.mp4,a cat\n")
    target, asked = tmp_path / "new.vljepa", dict[str, Any]()

    def fake(checkpoint: str, out: Path, **options: Any) -> vljepa_export.ExportReport:
        asked.update(options)
        return vljepa_export.ExportReport(
            path=out,
            bytes=1,
            shared_bytes=0,
            graphs=(),
            seconds=2.0,
            parity_data="1 own clips (clips.csv)",
            calibration=Calibration(data="own clips (clips.csv)", samples=3),
        )

    monkeypatch.setattr(vljepa_export, "export_bundle", fake)
    arguments = ["export", str(folder), "-o", str(target), "--calibrate", str(tmp_path / "clips.csv")]
    assert main(arguments) == 1
    assert "1 of 1 clips cannot be read" in capsys.readouterr().err
    assert asked == {}
    write_video(np.zeros((8, 32, 32, 3), np.uint8), tmp_path / "a.mp4", fps=8)
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert asked["calibrate"] == AnnotationFile(path=str(tmp_path / "clips.csv"))
    assert "against torch, on 1 own clips (clips.csv):" in out
    assert "calibrated on 3 own clips (clips.csv)" in out
