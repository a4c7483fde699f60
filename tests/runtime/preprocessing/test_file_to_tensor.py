"""From a file to what the X-encoder gets: a session, `embed` and the family's own processor see the same pixels."""

from __future__ import annotations

import importlib.util
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

import vljepa_runtime as vj
from vljepa_runtime.preprocessing.patches import fit_frames, patchify
from vljepa_runtime.preprocessing.preprocess import Preprocess
from vljepa_runtime.selection import EveryWindow
from vljepa_runtime.sources.pictures.folder import FolderSource

UInt8 = npt.NDArray[np.uint8]
HERE = Path(__file__).parent
BASE = Preprocess(frames=4, fps=4.0, size=12, patch=6)
MODES = {
    "crop": {"resize": "crop"},
    "stretch": {"resize": "stretch"},
    "pad": {"resize": "pad"},
    "antialias": {"resize": "antialias"},
    "antialias, larger short side": {"resize": "antialias", "short_side": 14},
    "antialias, offset cut off": {"resize": "antialias", "short_side": 13, "crop_offset": "floor"},
    "by number": {"resize": "antialias", "sampling": "frames", "picks": "floor"},
}
SHAPES = [(20, 36), (36, 20), (19, 33), (12, 12), (5, 7), (13, 60)]
FAMILIES = {
    "vjepa2": Preprocess(
        frames=4, fps=4.0, size=18, patch=6, resize="antialias", short_side=20, crop_offset="floor"
    ),
    "open_vljepa": Preprocess(
        frames=4, fps=4.0, size=18, patch=6, resize="antialias", sampling="frames", picks="floor"
    ),
}
spec = importlib.util.spec_from_file_location("record_processors", HERE / "record_processors.py")
assert spec is not None
assert spec.loader is not None
recorder: ModuleType = importlib.util.module_from_spec(spec)
spec.loader.exec_module(recorder)


def model_with(pre: Preprocess, small: Path, folder: Path) -> vj.Model:
    """The small bundle with another preprocessing; its graphs take any number of tubelets."""
    with zipfile.ZipFile(small) as archive:
        archive.extractall(folder)
    manifest = folder / "bundle.json"
    plain = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**plain, "preprocess": pre.to_dict()}))
    return vj.load(folder, engine="onnxruntime:cpu", threads=1)


class Watched:
    """What a model's X-encoder gets and its predictor gives, in order."""

    def __init__(self, model: vj.Model, monkeypatch: pytest.MonkeyPatch) -> None:
        self.patches: list[UInt8] = []
        self.embeddings: list[npt.NDArray[np.float32]] = []
        encode, predict = model.encode_on_device, model.predict

        def encoding(patches: UInt8, positions: Any) -> Any:
            self.patches.append(patches.copy())
            return encode(patches, positions)

        def predicting(*args: Any) -> Any:
            self.embeddings.append(predict(*args))
            return self.embeddings[-1]

        monkeypatch.setattr(model, "encode_on_device", encoding)
        monkeypatch.setattr(model, "predict", predicting)

    def forget(self) -> None:
        self.patches.clear()
        self.embeddings.clear()


def run_session(model: vj.Model, source: Any) -> None:
    with model.session(select=EveryWindow(), decode="never") as session:
        list(session.run(source))


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape[0]}x{shape[1]}")
@pytest.mark.parametrize("mode", MODES)
def test_a_session_sees_what_embed_sees(
    mode: str,
    shape: tuple[int, int],
    small_zip: Path,
    lossless: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = model_with(replace(BASE, **MODES[mode]), small_zip, tmp_path / "bundle")
    frames = np.random.default_rng(shape).integers(0, 256, (8, *shape, 3), dtype=np.uint8)
    path = lossless.write_lossless(
        tmp_path / "film.mkv", frames, [number / 4 for number in range(8)], last_s=0.25
    )
    watched = Watched(model, monkeypatch)
    expected = [model.embed(frames[start : start + 4]) for start in (0, 4)]
    seen = list(watched.patches)
    watched.forget()
    run_session(model, vj.open_source(path))
    np.testing.assert_array_equal(watched.embeddings, expected)
    np.testing.assert_array_equal(watched.patches, seen)
    for start, embedding in zip((0.0, 1.0), expected):
        clip = vj.read_clip(path, model.preprocess, start_s=start, seconds=1.0)
        np.testing.assert_array_equal(model.embed(clip), embedding)
    whole = vj.read_clip(path, model.preprocess)
    np.testing.assert_array_equal(model.embed(whole), model.embed(frames))


@pytest.mark.parametrize("shape", recorder.SHAPES, ids=lambda shape: f"{shape[0]}x{shape[1]}")
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", ["film", "folder"])
def test_the_pixels_are_those_of_the_familys_processor(
    kind: str,
    family: str,
    shape: tuple[int, int],
    small_zip: Path,
    lossless: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Within one grey level; the recordings are of transformers' and torchvision's own code."""
    pre = FAMILIES[family]
    model = model_with(pre, small_zip, tmp_path / "bundle")
    image = recorder.picture(*shape)
    with np.load(HERE / "processors.npz") as held:
        expected = held[f"{family} {shape[0]}x{shape[1]}"].astype(int)
    if kind == "film":
        times_s = [number / 4 for number in range(4)]
        path = lossless.write_lossless(tmp_path / "film.mkv", np.stack([image] * 4), times_s, last_s=0.25)
        sources = [vj.open_source(path)]
    else:
        for number in range(4):
            cv2.imwrite(str(tmp_path / f"{number}.png"), image[..., ::-1])
        sources = [FolderSource(tmp_path)]
    watched = Watched(model, monkeypatch)
    run_session(model, sources[0])
    ours = vj.read_clip(tmp_path / "film.mkv" if kind == "film" else tmp_path, pre)
    np.testing.assert_array_equal(watched.patches, [patchify(ours)[0]])
    assert np.abs(ours.frames.astype(int) - expected).max() <= 1
    once_more = fit_frames(ours.frames, pre).frames
    if family == "vjepa2":  # what fitting a window twice made of it
        assert np.abs(once_more.astype(int) - expected).max() > 20


def test_the_recordings_are_what_the_processors_give() -> None:
    try:
        import torchvision  # noqa: F401
        import transformers  # noqa: F401
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"no torchvision that goes with this torch: {error}")
    with np.load(HERE / "processors.npz") as held:
        for name, value in recorder.record().items():
            np.testing.assert_array_equal(held[name], value, err_msg=name)
