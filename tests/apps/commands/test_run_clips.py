"""`vljepa run` on real clips with a real, very small bundle: events or one clear sentence, nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from vljepa_apps.main import main
from vljepa_runtime.events import Event

CLIPS = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "clips"
SMALL = Path(__file__).resolve().parents[2] / "runtime" / "bundles" / "small.vljepa"
BROKEN = {"corrupt.jpg", "frame_exceeds_screen.gif"}  # on purpose; a reader may or may not get a picture out
SIGNS = [
    path for path in sorted((CLIPS / "intel").glob("*.mkv")) if path.stem != "again"
]  # one stands for all
FILES = sorted({path for path in CLIPS.glob("*/*") if path.is_file()} - set(SIGNS))


@pytest.mark.parametrize("clip", FILES or [None], ids=lambda clip: clip.name if clip else "absent")
def test_every_clip_gives_events_or_one_sentence(
    clip: Path | None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    if clip is None:
        pytest.skip("no shared/data beside the checkout")
    monkeypatch.delenv("VLJEPA_DEBUG", raising=False)
    code = main(["run", str(SMALL), str(clip), "--max-seconds", "4", "--threads", "1"])
    out, err = capfd.readouterr()
    events = [Event.from_json(line) for line in out.splitlines()]
    assert events[0].kind == "status"
    if clip.name in BROKEN and code == 1:
        assert events[-1].kind == "error"
        assert err.splitlines()[-1].startswith("vljepa: ")
        assert clip.name in err
    else:
        assert code == 0
        assert any(event.kind == "segment" and event.text for event in events)
        assert err.count("\n") == 1
        assert err.split()[1] == "windows,"
    assert "Traceback" not in err
