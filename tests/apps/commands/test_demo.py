"""`vljepa demo`: a stream file, a real bundle, rows beside the truth, pictures, whole files, no traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from vljepa_apps.demo import folder as demo_folder
from vljepa_apps.demo.ground_truth import GroundTruth, judge
from vljepa_apps.demo.overlay import Overlay, enlarged
from vljepa_apps.demo.stream import write_video
from vljepa_apps.demo.timeline import Match
from vljepa_apps.main import main
from vljepa_evaluation.metrics import Annotation
from vljepa_runtime.errors import InputError
from vljepa_runtime.events import Event

BUNDLE = str(Path(__file__).parents[2] / "runtime" / "bundles" / "small.vljepa")
SHORT = ["--bundle", BUNDLE, "--minutes", "0.1"]


def frames_of(path: Path) -> tuple[str, list[np.ndarray]]:
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        return container.streams.video[0].codec_context.name, frames


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("VLJEPA_DEBUG", raising=False)
    monkeypatch.chdir(tmp_path)


def test_the_whole_demo(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", *SHORT, "--select", "uniform:2"]) == 0
    out, err = capsys.readouterr()
    folder = Path("demo-out")
    assert sorted(path.name for path in folder.iterdir()) == sorted(demo_folder.OUTPUTS.values())
    lines = out.splitlines()
    assert lines[0].split() == ["time", "decoded", "truth", "match"]
    assert lines[1].startswith("  0:0")
    assert lines[1].rstrip().endswith(("exactly", "partly", "no"))
    assert "decodings instead of" in out
    assert "true events:" in out
    assert "writing the stream" in err
    assert "watching" in err
    codec, stream = frames_of(folder / "stream.mp4")
    assert (codec, len(stream), stream[0].shape) == ("h264", 72, (256, 256, 3))
    codec, drawn = frames_of(folder / "annotated.mp4")
    assert (codec, len(drawn), drawn[0].shape) == ("h264", 72, (640, 640, 3))
    picture = cv2.imread(str(folder / "timeline.png"))
    assert picture.shape[1] == 1600
    events = [Event.from_json(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    assert [event.kind for event in events] == ["status", *["segment"] * (len(events) - 1)]
    assert json.loads((folder / "report.json").read_text())["decodings"] == len(events) - 1


def test_json_is_one_object_and_agrees_with_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", *SHORT, "--select", "every", "--json", "--seed", "3", "--out", "there"]) == 0
    out, _ = capsys.readouterr()
    report = json.loads(out)
    assert out.count("\n") == 1
    assert report == json.loads(Path("there/report.json").read_text())
    assert (report["seed"], report["seconds"]) == (3, pytest.approx(6.0, abs=0.1))
    assert report["decodings"] == report["windows"] == len(report["events"])
    assert report["saved_against_every_window"] == 0
    seen = report["agreement"]
    assert seen["events"] == len(report["truth"]) == seen["exactly"] + seen["partly"] + seen["missed"]
    assert 0 <= seen["cider"] <= 10
    assert {event["match"] for event in report["events"]} <= {"exactly", "partly", "no"}
    assert all(Path(path).is_file() for path in report["outputs"].values())


def test_a_source_of_the_users_has_no_truth(capsys: pytest.CaptureFixture[str]) -> None:
    write_video((np.full((48, 64, 3), 9 * i, np.uint8) for i in range(24)), Path("mine.mp4"), fps=8)
    assert main(["demo", "mine.mp4", "--bundle", BUNDLE]) == 0
    out, _ = capsys.readouterr()
    assert out.splitlines()[0].split() == ["time", "decoded"]
    assert "true events" not in out
    assert not Path("demo-out/stream.mp4").exists()
    report = json.loads(Path("demo-out/report.json").read_text())
    assert (report["seed"], report["truth"], report["agreement"]) == (None, None, None)
    assert report["seconds"] == pytest.approx(3.0, abs=0.15)
    _, drawn = frames_of(Path("demo-out/annotated.mp4"))
    assert drawn[0].shape == (640, 852, 3)


def test_minutes_cut_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    write_video((np.zeros((48, 64, 3), np.uint8) for _ in range(80)), Path("mine.mp4"), fps=8)
    assert main(["demo", "mine.mp4", "--bundle", BUNDLE, "--minutes", "0.05", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["seconds"] == pytest.approx(3.0, abs=0.3)


def test_ctrl_c_leaves_whole_files(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = Overlay.draw

    def interrupted(self: Any, frame: Any) -> None:
        if frame.time_s > 2.9:
            raise KeyboardInterrupt
        draw(self, frame)

    monkeypatch.setattr(Overlay, "draw", interrupted)
    assert main(["demo", *SHORT, "--select", "every"]) == 130
    _, drawn = frames_of(Path("demo-out/annotated.mp4"))
    assert 30 < len(drawn) < 40
    assert json.loads(Path("demo-out/report.json").read_text())["decodings"] > 0
    assert sorted(path.name for path in Path("demo-out").iterdir()) == sorted(demo_folder.OUTPUTS.values())


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["no-such.mp4"], 1, "no-such.mp4"),
        (["--out", "taken"], 1, "taken exists and is not empty"),
        (["--out", "taken/file"], 1, "is a file"),
        (["--bundle", "nowhere.vljepa"], 1, "nowhere.vljepa"),
        (["--minutes", "0"], 2, "above 0"),
        (["--minutes", "1e9"], 2, "at most 60"),
        (["--seed", "-1"], 2, "at least 0"),
        (["--select", "sometimes"], 2, "unknown selection policy"),
    ],
    ids=["no source", "folder in use", "a file", "no bundle", "no time", "too long", "seed", "policy"],
)
def test_mistakes_are_one_sentence(
    arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("taken").mkdir()
    Path("taken/file").write_text("mine")
    try:
        got = main(["demo", *SHORT, *arguments])
    except SystemExit as exit:
        got = int(exit.code or 0)
    out, err = capsys.readouterr()
    assert (got, out) == (code, "")
    assert message in err
    assert "Traceback" not in err
    assert Path("taken/file").read_text() == "mine"
    assert not Path("demo-out").exists()


class TestFolder:
    def test_its_own_default_is_replaced(self) -> None:
        paths = demo_folder.prepare(demo_folder.DEFAULT, source=None, force=False)
        paths["stream"].write_text("old")
        assert demo_folder.prepare(demo_folder.DEFAULT, source=None, force=False) == paths
        assert not paths["stream"].exists()

    def test_a_strange_file_in_the_default_protects_it(self) -> None:
        demo_folder.prepare(demo_folder.DEFAULT, source=None, force=False)
        Path("demo-out/notes.txt").write_text("mine")
        with pytest.raises(InputError, match="--force"):
            demo_folder.prepare(demo_folder.DEFAULT, source=None, force=False)
        demo_folder.prepare(demo_folder.DEFAULT, source=None, force=True)
        assert Path("demo-out/notes.txt").read_text() == "mine"

    def test_another_folder_with_old_results_needs_force(self) -> None:
        paths = demo_folder.prepare(Path("a/b"), source=None, force=False)
        paths["report"].write_text("{}")
        with pytest.raises(InputError, match="not empty"):
            demo_folder.prepare(Path("a/b"), source=None, force=False)

    def test_the_source_is_never_its_own_output(self) -> None:
        paths = demo_folder.prepare(demo_folder.DEFAULT, source=None, force=False)
        paths["stream"].write_text("a stream")
        with pytest.raises(InputError, match="another folder"):
            demo_folder.prepare(
                demo_folder.DEFAULT, source=Path("demo-out/../demo-out/stream.mp4"), force=True
            )
        assert paths["stream"].read_text() == "a stream"


@pytest.mark.parametrize(
    ("said", "true", "match"),
    [
        ("a red ball rolls to the left", "a red ball rolls to the left", Match.EXACT),
        ("we see how a red ball is rolling to the left", "a red ball rolls to the left", Match.EXACT),
        ("a red ball rolls to the right", "a red ball rolls to the left", Match.PARTLY),
        ("a red box rolls to the left", "a red ball rolls to the left", Match.PARTLY),
        ("a red ball rolls to the left, then a blue box jumps", "a red ball rolls to the left", Match.PARTLY),
        ("a green star jumps", "a red ball rolls to the left", Match.MISSED),
        ("a blue box lands on top of a white heart", "a blue box lands on top of a red heart", Match.PARTLY),
        ("a hand shows the digit three", "a hand shows the digit three", Match.EXACT),
        ("a hand shows the digit two", "a hand shows the digit three", Match.MISSED),
        ("", "a red ball rolls to the left", Match.MISSED),
        ("the the the", "a red ball rolls to the left", Match.MISSED),
    ],
)
def test_judging_reads_meaning_not_wording(said: str, true: str, match: Match) -> None:
    assert judge(said, true) is match


def test_agreement_takes_the_nearest_decoding() -> None:
    texts = ["a red ball jumps", "a blue box stays still"]
    truth = GroundTruth(
        tuple(
            Annotation(start_s=3.0 * i, end_s=3.0 * i + 3, captions=(text,))
            for i, text in enumerate([*texts, "a white moon turns"])
        )
    )
    seen = truth.agreement(texts, [1.0, 4.0])
    assert (seen.events, seen.exactly, seen.partly, seen.missed) == (3, 2, 0, 1)
    assert 0 < seen.cider <= 10
    assert truth.agreement([], []).missed == 3
    assert [truth.caption_at(time) for time in (0.0, 5.9, 99.0)] == [*texts, "a white moon turns"]
    assert GroundTruth(()).caption_at(1.0) == ""


def test_a_video_is_whole_or_absent(tmp_path: Path) -> None:
    def broken() -> Any:
        yield np.zeros((16, 16, 3), np.uint8)
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        write_video(broken(), tmp_path / "v.mp4", fps=4)
    with pytest.raises(InputError, match="no frame"):
        write_video([], tmp_path / "v.mp4", fps=4)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("shape", "expected"), [((96, 96), (640, 640)), ((100, 200), (640, 1280)), ((720, 1280), (720, 1280))]
)
def test_small_pictures_are_enlarged(shape: tuple[int, int], expected: tuple[int, int]) -> None:
    image = np.zeros((*shape, 3), np.uint8)
    large = enlarged(image)
    assert large.shape[:2] == expected
    assert not np.shares_memory(large, image)


def test_light_install_is_enough() -> None:
    code = (
        "import sys\n"
        "from vljepa_apps.main import main\n"
        f"code = main(['demo', '--bundle', {BUNDLE!r}, '--minutes', '0.02', '--json'])\n"
        "heavy = {'torch', 'onnx', 'matplotlib', 'scipy', 'sklearn', 'safetensors', 'PIL'} & set(sys.modules)\n"
        "sys.exit(f'exit {code}, imported {heavy}' if code or heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
