"""`vljepa bench` and `vljepa selective` with models that do nothing, on real sessions and streams."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vljepa_runtime as vj
from vljepa_apps import arguments
from vljepa_apps.main import main
from vljepa_apps.measure import bench, selective
from vljepa_apps.measure.latency import Latency
from vljepa_runtime.selection import Boundaries
from vljepa_runtime.statistics import SessionStats, StageStats

STAGES = ("capture", "fit", "encode", "predict", "select", "decode")


@pytest.fixture
def stats() -> SessionStats:
    """10 windows: 6 of 10 ms are inference."""
    stage = StageStats(count=10, total_ms=20.0, p50_ms=2.0, p95_ms=3.0)
    return SessionStats(
        windows=10,
        queries=1,
        decisions=2,
        decodings=2,
        media_s=10.0,
        busy_s=0.1,
        p50_ms=10.0,
        p95_ms=11.0,
        latency=dict.fromkeys(STAGES, stage),
    )


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch, stats: SessionStats) -> None:
    """No bundle is loaded and no video written."""

    class Named:
        name = "toy"

    class Loaded:
        bundle = Named()
        engine_name = "fake:cpu"

    measured = {"window": Latency(p50_ms=4.0, p95_ms=5.0, low_ms=3.9, high_ms=4.1, runs=7)}
    monkeypatch.setattr(arguments, "load_model", lambda args: Loaded())
    monkeypatch.setattr(bench, "run_stream", lambda model, path, **options: stats)
    monkeypatch.setattr(bench, "peak_memory", lambda subject, path: 123.4)
    monkeypatch.setattr(bench, "time_graphs", lambda model, subject, rounds: measured)


@pytest.mark.usefixtures("quiet")
def test_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "toy", "--source", "x.mp4"]) == 0
    out = capsys.readouterr().out
    assert "fake:cpu" in out
    assert "not inference: 20.0% of the time, 40.0% with reading the video" in out
    assert "100.0x real time" in out
    assert "123 MB" in out


@pytest.mark.usefixtures("quiet")
def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "toy", "--source", "x.mp4", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["latency"]["window"]["p50_ms"] == 4.0
    assert found["stream"]["overhead"] == pytest.approx(0.2)
    assert found["stream"]["latency"]["encode"]["count"] == 10


@pytest.mark.usefixtures("quiet")
def test_a_failed_graph_is_marked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        bench, "time_graphs", lambda model, subject, rounds: {"window": Latency(error="E: no")}
    )
    assert main(["bench", "toy", "--source", "x.mp4"]) == 1
    assert "failed: E: no" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--full-size"], "expected --against with --full-size"),
        (["--markdown", "p.md"], "expected --against with --markdown"),
        (["--against", "torch-bf61"], "did you mean 'torch-bf16'?"),
        (["--against", "all", "--peer-python", "torch-bf16"], "expected --peer-python NAME=PYTHON"),
        (["--against", "all", "--peer-python", "torch-bf16=/no/python"], "with an interpreter"),
        (["--against", "all", "--peer-python", "nobody=python3"], "got 'nobody'"),
        (["--against", "all", "--carry", "5"], "expected no --tokens and no --carry"),
        (["--against", "all", "--tokens", "static"], "expected no --tokens and no --carry"),
        (["other.vljepa", "--against", "all"], "expected --checkpoint DIR"),
        (["--against", "all", "--checkpoint", "no/such"], "no/such does not exist"),
        (["--against", "all", "--markdown", "test_bench.py"], "--force"),
    ],
)
def test_options_are_looked_at_before_any_work(
    options: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parent)
    monkeypatch.setattr(arguments, "load_model", lambda args: pytest.fail("it was loaded"))
    assert main(["bench", *options]) == 1
    assert said in capsys.readouterr().err


@pytest.mark.usefixtures("quiet")
def test_side_by_side_writes_page_and_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    from vljepa_apps.measure.side_by_side import run, subjects
    from vljepa_apps.measure.side_by_side.report import SideBySide

    asked: list[Any] = []

    def measured(wanted: Any, plan: Any) -> SideBySide:
        asked.extend([wanted, plan])
        held = ("vljepa-edge", "numpy", "onnxruntime", "torch", "openvino", "nncf", "commit", "date", "load")
        named = ("cpu", "cores", "system", "python")
        return SideBySide(
            machine=dict.fromkeys((*held, *named), "1"), command=plan.command, ceilings=(), places=(), able=frozenset(),
            seconds=1.0,
        )  # fmt: skip

    monkeypatch.setattr(run, "side_by_side", measured)
    monkeypatch.setattr(subjects, "of_bundle", lambda model, spec, **options: (spec, options))
    markdown = tmp_path / "docs" / "p.md"
    markdown.parent.mkdir()
    command = ["bench", "tiny", "--source", "x.mp4", "--against", "torch-fp32", "--threads", "2", "--json"]
    command += ["--markdown", str(markdown), "--peer-python", "torch-fp32=sh"]
    assert main(command) == 0
    (((spec, options),), plan) = asked
    assert (spec, options["rounds"], [peer.name for peer in options["peers"]]) == ("tiny", 40, ["torch-fp32"])
    assert (plan.threads, plan.pythons) == (2, {"torch-fp32": "sh"})
    assert json.loads(capsys.readouterr().out)["side_by_side"]["format"] == 1
    written = markdown.read_text("utf-8")
    assert written.startswith("# Performance\n")
    assert "overhead 20.0 % of the time, 40.0 % with" in written
    assert main([word for word in plan.command.split() if word != "vljepa"]) == 1  # the page is there now
    assert "--force" in capsys.readouterr().err


class Speaking:
    """Each window's embedding is the mean colour of its frames; the words are its digits."""

    engine_name = "fake:cpu"
    boundaries: Boundaries | None = None

    def __init__(self) -> None:
        from vljepa_runtime.preprocessing.preprocess import Preprocess

        self.preprocess = Preprocess()
        self.encoded = 0

        class Manifest:
            name = "toy"
            files: dict[str, Any] = {}  # noqa: RUF012

        class Opened:
            name = "toy"
            manifest = Manifest()

        self.bundle = Opened()

    def encode(self, frames: Any) -> Any:
        self.encoded += 1
        return frames.frames.mean(axis=(1, 2)).astype(np.float32)

    def predict(self, visual: Any, query: str) -> Any:
        z = visual.reshape(-1) - visual.mean()
        return (z / (np.linalg.norm(z) + 1e-6)).astype(np.float32)

    def decode(self, z: Any) -> str:
        return "a red ball rolls to the left" if z[0] > 0 else "a blue box jumps"


def test_selective_goes_on_where_it_stopped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    model = Speaking()
    monkeypatch.setattr(arguments, "load_model", lambda args: model)
    command = [
        "selective",
        "toy",
        "--streams",
        "2",
        "--tuning",
        "4",
        "--minutes",
        "0.2",
        "--out",
        str(tmp_path / "s"),
        "--json",
    ]
    assert main(command) == 0
    found = json.loads(capsys.readouterr().out)
    policies = {"uniform", "ward", "online", "online, network", "offline, network", "events known"}
    assert {curve["policy"] for curve in found["curves"]} >= policies
    learned = {"online, network", "online, network, at once", "offline, network"}
    assert found["events"].keys() == {"online", *learned}
    known = Boundaries.from_bytes((tmp_path / "s" / "boundaries.safetensors").read_bytes())
    assert [net.stride_s for net in known.nets] == [0.5, 1]
    assert known.streams == 4
    assert found["ratios"][0]["policy"] == "uniform"
    assert (tmp_path / "s" / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((tmp_path / "s" / "curve.json").read_text()) == found

    seen = model.encoded
    assert seen == 3 * found["windows"]  # four more streams were for tuning
    assert found["tuning_streams"] == 4
    assert [c["policy"] for c in found["tuning_curves"]] == [c["policy"] for c in found["curves"]]
    assert main(command) == 1
    assert "--force" in capsys.readouterr().err
    assert main([*command[:-1], "--force"]) == 0
    assert model.encoded == seen
    assert "fewer decodings at equal CIDEr" in capsys.readouterr().out


def test_without_streams_to_fit_to_the_bundles_network_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    model = Speaking()
    nets = vj.load("tiny").boundaries
    monkeypatch.setattr(arguments, "load_model", lambda args: model)
    command = ["selective", "toy", "--streams", "2", "--tuning", "0", "--minutes", "0.2", "--json"]
    for boundaries, folder in ((nets, "with"), (None, "without")):
        model.boundaries = boundaries
        assert main([*command, "--out", str(tmp_path / folder)]) == 0
        found = json.loads(capsys.readouterr().out)
        assert ("offline, network" in [curve["policy"] for curve in found["curves"]]) is (folder == "with")
        assert not (tmp_path / folder / "boundaries.safetensors").exists()


def test_recordings_of_two_models_are_never_mixed() -> None:
    first, second = Speaking(), Speaking()
    second.engine_name = "fake:gpu"
    assert selective.fingerprint(first) != selective.fingerprint(second)  # type: ignore[arg-type]
