"""Videos of the procedural world as H.264 files with a manifest."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from vljepa_data.world import PROMPTS, Split, make_clip
from vljepa_data.world.language import caption, paraphrases

FilmSet = Callable[..., Path]


def write_video(path: Path, frames: np.ndarray, rate: int = 4) -> None:
    """Frames (T, H, W, 3) uint8 as H.264."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "18", "preset": "ultrafast"})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


@pytest.fixture(scope="session")
def film_set(tmp_path_factory: pytest.TempPathFactory) -> FilmSet:
    """Write clips of the world as files, two texts each, and a manifest; returns the manifest."""

    def write(clips: int, *, size: int = 32, held_out: int = 0) -> Path:
        folder = tmp_path_factory.mktemp("films")
        lines = []
        for seed in range(clips + held_out):
            clip = make_clip(seed, Split.TRAIN, kind="single", size=size)
            write_video(folder / f"{seed}.mp4", clip.frames)
            texts = (
                caption(clip.events, "retrieval", aside=clip.aside),
                paraphrases(clip.events, "caption")[-1],
            )
            for query, text in zip((PROMPTS["retrieval"], PROMPTS["caption"]), texts):
                split = "train" if seed < clips else "val"
                row = {"path": f"{seed}.mp4", "text": text, "query": query, "split": split}
                lines.append(json.dumps(row) + "\n")
        manifest = folder / "manifest.jsonl"
        manifest.write_text("".join(lines))
        return manifest

    return write


@pytest.fixture(scope="session")
def films(film_set: FilmSet) -> Path:
    """Twelve small clips."""
    return film_set(12)
