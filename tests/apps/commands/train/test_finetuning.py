"""`vljepa train --data`: fine-tuning from the command line, and its refusals."""

from __future__ import annotations

import json
from pathlib import Path

import av
import pytest

from vljepa_apps.main import main
from vljepa_data.world import Split, make_clip
from vljepa_model.checkpoint import load_checkpoint

TWO_STEPS = ["--steps", "2", "--batch", "2", "--warmup", "1", "--workers", "0"]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four clips, one of them held out, and a fifth that is missing."""
    folder = tmp_path_factory.mktemp("films")
    rows = ["path,text,split"]
    for seed in range(4):
        clip = make_clip(seed, Split.TRAIN, kind="single")
        with av.open(str(folder / f"{seed}.mp4"), "w") as container:
            stream = container.add_stream("libx264", rate=4)
            stream.height, stream.width = clip.frames.shape[1:3]
            stream.pix_fmt = "yuv420p"
            for frame in clip.frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode())
        rows.append(f"{seed}.mp4,clip number {seed},{'val' if seed == 3 else 'train'}")
    rows.append("gone.mp4,a clip that is gone,train")
    path = folder / "clips.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.mark.slow
def test_a_short_run_reports_what_it_skipped_and_what_it_found(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = [
        "train",
        "--init",
        "tiny",
        "--data",
        str(manifest),
        "--out",
        str(tmp_path / "run"),
        "--split",
        "train",
    ]
    more = ["--held-out", "val", "--cache", str(tmp_path / "cache"), "--cache-gb", "0.1", "--json"]
    assert main([*run, *TWO_STEPS, *more]) == 0
    printed, said = capsys.readouterr()
    result = json.loads(printed)
    assert result["last"]["step"] == 2
    assert result["held_out"]["clips"] == 1
    assert result["held_out"]["words"]["learned"] is False
    assert "the Y-decoder has learned too little" in said
    assert "1 clips cannot be read and are skipped, first" in said
    assert "gone.mp4" in said
    assert load_checkpoint(tmp_path / "run" / "checkpoint").metadata["finetuned"]["clips"] == 3
    assert len(list((tmp_path / "cache").rglob("*.npy"))) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "expected --init CHECKPOINT with --data"),
        (["--init", "tiny", "--clips", "4"], "--clips belong to training from the procedural world"),
        (["--init", "tiny", "--split", "dev"], "expected a split among train, val, got 'dev'"),
        (["--init", "tiny", "--strict", *TWO_STEPS], "1 of 5 clips cannot be read, first"),
        (["--init", "tiny", "--steps", "0"], "steps: expected a whole number above 0, got 0"),
    ],
)
def test_a_mistake_is_one_sentence(
    options: list[str], message: str, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--out", str(tmp_path / "run"), "--data", str(manifest), *options]) == 1
    said = capsys.readouterr().err
    assert message in said.splitlines()[-1]
    assert "Traceback" not in said


def test_a_wrong_batch_leaves_nothing_behind_and_twenty_clips_need_no_option(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = tmp_path / "clips.csv"
    rows = [f"{manifest.parent / f'{i % 4}.mp4'},{i / 10},clip number {i}" for i in range(20)]
    clips.write_text("\n".join(["path,start_s,text", *rows]) + "\n")
    command = ["train", "--init", "tiny", "--data", str(clips), "--out", str(tmp_path / "door")]
    assert main([*command, "--batch", "32"]) == 1
    assert "a batch of 32 needs as many clips, got 20" in capsys.readouterr().err
    assert not (tmp_path / "door").exists()
    assert main([*command, "--steps", "1", "--workers", "0"]) == 0
    assert json.loads((tmp_path / "door" / "run.json").read_text())["recipe"]["batch"] == 20
    assert load_checkpoint(tmp_path / "door" / "checkpoint").metadata["name"] == "door"


def test_a_video_in_both_parts_is_told(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = tmp_path / "clips.csv"
    path = manifest.parent / "0.mp4"
    clips.write_text(f"path,start_s,text,split\n{path},0,one,train\n{path},1,two,train\n{path},0.5,one,val\n")
    command = ["train", "--init", "tiny", "--data", str(clips), "--out", str(tmp_path / "run")]
    assert main([*command, "--split", "train", "--held-out", "val", *TWO_STEPS, "--name", "both"]) == 0
    assert "1 videos are both learned from and held out" in capsys.readouterr().err
    assert load_checkpoint(tmp_path / "run" / "checkpoint").metadata["name"] == "both"


def test_a_share_of_the_videos_is_held_out(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = tmp_path / "clips.csv"
    rows = [f"{manifest.parent / f'{i % 4}.mp4'},{i / 10},clip number {i}" for i in range(12)]
    clips.write_text("\n".join(["path,start_s,text", *rows]) + "\n")
    command = ["train", "--init", "tiny", "--data", str(clips), "--out", str(tmp_path / "run"), *TWO_STEPS]
    for _ in range(2):  # the second finds a run of the same parts
        assert main([*command, "--held-out", "0.25", "--json"]) == 0
        out, err = capsys.readouterr()
        assert "held out: 3 texts about 1 videos, first " in err
        assert json.loads(out)["held_out"]["clips"] == 3
    assert load_checkpoint(tmp_path / "run" / "checkpoint").metadata["finetuned"]["clips"] == 9
    assert main([*command, "--held-out", "1.5"]) == 1
    assert "expected a split among none, got '1.5'" in capsys.readouterr().err


def test_what_is_held_out_is_not_learned_from(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "--init", "tiny", "--data", str(manifest), "--out", str(tmp_path / "run")]
    assert main([*command, "--held-out", "val", *TWO_STEPS]) == 0
    assert "both learned from and held out" not in capsys.readouterr().err
    assert load_checkpoint(tmp_path / "run" / "checkpoint").metadata["finetuned"]["clips"] == 3
