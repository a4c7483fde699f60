"""A model's own selection on streams whose truth is known."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from vljepa_apps.demo.stream import write_video
from vljepa_apps.measure.streams import StreamOrder, recordings
from vljepa_evaluation.metrics import Annotation
from vljepa_evaluation.tasks import Recording, StreamPlan, measure_decisions, record_video
from vljepa_runtime.errors import InputError
from vljepa_runtime.preprocessing import Preprocess

QUERY = StreamPlan().query
TEXTS = ("a ball rolls away", "one box jumps up")


def stream(change_s: float) -> Recording:
    """Ten seconds in which one meaning becomes another, in the middle of a window."""
    times = np.arange(0, 10, 0.5)
    return Recording(
        embeddings=np.eye(2, 8, dtype=np.float32)[(times + 1 >= change_s).astype(int)],
        windows_s=np.stack([times, times + 2], axis=1),
        events_s=np.array([[0.0, change_s], [change_s, 12.0]]),
        references=tuple((text,) for text in TEXTS),
    )


def model(*, has_decoder: bool = True) -> Any:
    """Words each meaning as it is."""
    return SimpleNamespace(
        boundaries=None, has_decoder=has_decoder, decode=lambda embedding: TEXTS[int(embedding.argmax())]
    )


def test_each_change_is_told_once_and_rightly() -> None:
    found = measure_decisions(model(), [stream(4.0), stream(6.0)], QUERY)
    assert found.begins_s == ((0.0, 4.0), (0.0, 6.0))
    rate, cider = (found.result.scores[name] for name in ("decodings_per_minute", "cider_d"))
    assert rate == pytest.approx([12.0, 12.0])  # two in ten seconds
    assert cider[0] > 9.9
    assert found.result.headline == ""  # it has no part in a verdict
    uniform, own, shipped = found.curves
    assert uniform.rates[0] == pytest.approx(60.0)
    assert len(own.settings) == 6
    assert shipped.rates.tolist() == pytest.approx([12.0])


def test_without_words_it_says_when_alone() -> None:
    found = measure_decisions(model(has_decoder=False), [stream(4.0)], QUERY)
    assert found.begins_s == ((0.0, 4.0),)
    assert list(found.result.metrics) == ["decodings_per_minute"]
    assert found.curves == ()


class Brightness:
    """Its embedding is how bright a window is."""

    preprocess = Preprocess()

    def encode(self, clip: Any, /) -> Any:
        return clip.frames

    def predict(self, frames: Any, query: str, /) -> Any:
        angle = frames.mean() / 255 * np.pi / 2
        return np.array([np.cos(angle), np.sin(angle)], np.float32)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Four seconds of darkness, then four of light; `film.csv` says so, but for where the light ends."""
    dark, light = (np.full((32, 32, 3), level, np.uint8) for level in (10, 240))
    write_video([dark] * 32 + [light] * 32, tmp_path / "film.mp4", fps=8)
    lines = [
        "path,text,start_s,end_s",
        "film.mp4,it is dark,0,4",
        "film.mp4,it is light,4,",
        "film.mp4,day,4,",
    ]
    (tmp_path / "film.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "film.csv"


def test_an_annotated_recording_is_seen_window_by_window(film: Path) -> None:
    (seen,) = recordings(Brightness(), StreamOrder(count=0, file=str(film)))
    assert seen.references == (("it is dark",), ("it is light", "day"))
    assert seen.windows_s[:, 0].tolist() == np.arange(0, 6.1, 0.5).tolist()
    dark = seen.embeddings[:, 0] > 0.9
    assert dark[seen.windows_s[:, 1] <= 4].all()
    assert not dark[seen.windows_s[:, 0] >= 4].any()
    found = measure_decisions(model(has_decoder=False), [seen], QUERY)
    ((first, second),) = found.begins_s
    assert first == 0.0
    assert second == pytest.approx(4.0, abs=1.0)


def test_a_recording_of_which_nothing_is_said_is_refused(film: Path) -> None:
    said: list[Annotation] = []
    with pytest.raises(InputError, match="expected windows and annotations"):
        record_video(Brightness(), film.with_suffix(".mp4"), said, StreamPlan(), Preprocess())
