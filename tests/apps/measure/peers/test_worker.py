"""A small checkpoint through real processes: what is measured, what is missing, what dies."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from vljepa_apps.measure.peers.process import PeerProcess, WorkerError
from vljepa_apps.measure.peers.table import Peer, chosen
from vljepa_apps.measure.peers.workload import Operations, Workload, make_workload
from vljepa_apps.measure.side_by_side.run import Plan, Subject, side_by_side
from vljepa_model.config import ModelConfig
from vljepa_model.shipped import checkpoint_folder
from vljepa_runtime.contract import PREDICTOR, STEP, X_ENCODER


@pytest.fixture(scope="module")
def workload(tmp_path_factory: pytest.TempPathFactory) -> Workload:
    """What `tiny` takes and gives."""
    return make_workload(checkpoint_folder("tiny"), tmp_path_factory.mktemp("workload"))


def test_operations_are_those_of_the_sizes(workload: Workload) -> None:
    """Counted by torch; here from the configuration."""
    eyes = ModelConfig.preset("tiny").x_encoder
    n, width = workload.preprocess.tokens, eyes.width
    block = n * width * (4 * width + 2 * eyes.mlp)
    assert workload.operations[X_ENCODER] == Operations(
        products=2 * (eyes.depth * block + n * eyes.patch_dim * width),
        attention=2 * eyes.depth * 2 * n * n * width,
    )
    mind = ModelConfig.preset("tiny").predictor
    length = n + workload.feeds(PREDICTOR)[1].shape[1]
    counted = workload.operations[PREDICTOR]
    assert counted.attention == 2 * mind.depth * 2 * length * length * mind.heads * mind.head_dim


def test_windows_are_kept_with_what_float32_gives_for_them(workload: Workload) -> None:
    again = Workload.read(workload.folder)
    assert again == workload
    assert len({workload.frames(sample).tobytes() for sample in range(workload.samples)}) == workload.samples
    patches, _ = workload.window_feeds(workload.frames(3))
    np.testing.assert_array_equal(patches, workload.feeds(X_ENCODER, 3)[0])
    assert np.linalg.norm(workload.embedding(3)) == pytest.approx(1, abs=1e-5)
    assert [len(workload.feeds(name)) for name in (X_ENCODER, PREDICTOR, STEP)] == [2, 3, 7]


def order(name: str, workload: Workload, folder: Path) -> dict[str, object]:
    """What a worker is told."""
    (peer,) = chosen(name)
    return {"peer": asdict(peer), "workload": str(workload.folder), "folder": str(folder), "threads": 1}


def test_a_process_that_dies_says_its_last_words(workload: Workload, tmp_path: Path) -> None:
    with PeerProcess(
        order("torch-fp32", workload, tmp_path) | {"workload": str(tmp_path)},
        python=sys.executable,
        scratch=tmp_path,
        limit_s=60,
    ) as process:
        with pytest.raises(WorkerError, match="FileNotFoundError"):
            process.answer()
        with pytest.raises(WorkerError, match="its process ended: "):
            process.answer()


def test_one_that_never_answers_is_waited_for_with_a_limit(tmp_path: Path) -> None:
    silent = tmp_path / "python"
    silent.write_text("#!/bin/sh\nexec sleep 60\n")
    silent.chmod(0o755)
    with (
        PeerProcess({}, python=str(silent), scratch=tmp_path, limit_s=0.2) as process,
        pytest.raises(WorkerError, match="no answer in 0 s"),
    ):
        process.answer()


@pytest.mark.slow
def test_peers_take_turns_and_what_is_not_installed_is_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch runs; ONNX Runtime's line cannot, since what exports is not there: as where the extra is missing."""
    (tmp_path / "onnxscript.py").write_text("raise ImportError('no onnxscript here')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr("vljepa_apps.measure.side_by_side.run._ceilings", lambda devices: iter(()))
    subject = Subject(
        title="tiny",
        checkpoint=checkpoint_folder("tiny"),
        peers=chosen("torch-fp32,onnx-stock"),
        graphs=(X_ENCODER, PREDICTOR),
        rounds=2,
        max_cell_s=5,
    )
    found = side_by_side([subject], Plan(command="vljepa bench", threads=1))
    ran, missing = found.places[0].lines
    assert missing.missing == "no onnxscript here: pip install -e '.[export]'"
    assert ran.detail.endswith("eager fp32, 1 threads")
    assert ran.cosine == pytest.approx(1, abs=1e-5)
    assert {cell: times.runs for cell, times in ran.latency.items()} == {
        "window": 2,
        X_ENCODER: 2,
        PREDICTOR: 2,
    }
    assert not any(times.error for times in ran.latency.values())
    assert (ran.cold_start_s or 0) > 0.1
    assert (ran.peak_rss_mb or 0) > 100


def test_a_peer_keeps_to_the_sizes_of_its_workload(workload: Workload, tmp_path: Path) -> None:
    """Full size leaves words out: graphs that are not asked for are neither made nor run."""
    part = make_workload(checkpoint_folder("tiny"), tmp_path, graphs=(X_ENCODER, PREDICTOR))
    assert [*part.inputs] == [*part.operations] == [X_ENCODER, PREDICTOR]
    assert [*part.definitions()] == [X_ENCODER, PREDICTOR]
    assert replace(part, folder=workload.folder).embedding() @ workload.embedding() == pytest.approx(
        1, abs=1e-5
    )


@pytest.mark.slow
def test_the_fastest_of_ours_runs_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vljepa_apps.measure.side_by_side.run._ceilings", lambda devices: iter(()))
    bundle = Peer(
        name="bundle",
        title="ours",
        module="ours",
        products="int8",
        attention="fp32",
        install="",
        ours=True,
        options={"bundle": "tiny", "engine": "onnxruntime:cpu"},
    )
    subject = Subject(
        title="tiny",
        checkpoint=checkpoint_folder("tiny"),
        peers=(bundle, *chosen("torch-fp32")),
        graphs=(X_ENCODER, PREDICTOR),
        rounds=2,
        max_cell_s=5,
        stream_s=6.0,
    )
    ours, peer = side_by_side([subject], Plan(command="vljepa bench", threads=1)).places[0].lines
    assert ours.stream is not None
    assert (ours.stream.windows, ours.stream.media_s) == (5, pytest.approx(6.0, abs=0.2))
    assert ours.stream.latency["encode"].count == 5
    assert 0 < ours.stream.inference_s < ours.stream.busy_s
    assert peer.stream is None
