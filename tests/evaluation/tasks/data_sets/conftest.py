"""A model that sees how bright a clip is, and folders with clips and pictures of three levels."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from vljepa_apps.demo.stream import write_video
from vljepa_runtime.preprocessing import Clip, Preprocess

Float32 = npt.NDArray[np.float32]
LEVELS = {"night": 40, "dusk": 120, "day": 200}


def vector(text: str) -> Float32:
    """A unit vector that belongs to a text."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    values = np.random.default_rng(seed).normal(size=64).astype(np.float32)
    return np.asarray(values / np.linalg.norm(values), np.float32)


class Seeing:
    """Answers every query with what belongs to the brightness of the clip; `says` maps (query, level) to a text."""

    def __init__(self, says: Callable[[str, str], str] = lambda query, level: level) -> None:
        self.says = says
        self.queries: list[str] = []
        self.encoded = 0

    def encode(self, frames: npt.NDArray[np.uint8] | Clip, /) -> Float32:
        assert isinstance(frames, Clip)
        self.encoded += 1
        return np.array([[np.asarray(frames.frames).mean()]], np.float32)

    def predict(self, visual: Float32, query: str, /) -> Float32:
        self.queries.append(query)
        level = list(LEVELS)[int(np.abs(np.array(list(LEVELS.values())) - visual[0, 0]).argmin())]
        return vector(self.says(query, level))

    def embed_text(self, texts: Sequence[str], /) -> Float32:
        return np.stack([vector(text) for text in texts])

    def decode(self, embedding: Float32, /) -> str:
        return max(self.words, key=lambda text: float(vector(text) @ embedding))

    words: Sequence[str] = tuple(LEVELS)


@pytest.fixture
def pre() -> Preprocess:
    """Four frames of 32 pixels."""
    return Preprocess(frames=4, size=32, patch=16)


@pytest.fixture
def clip() -> Callable[..., Path]:
    """Write a video whose levels, by name, are shown for a second each."""

    def clip(path: Path, *levels: str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        frames = [np.full((32, 32, 3), LEVELS[level], np.uint8) for level in levels for _ in range(8)]
        write_video(frames, path, fps=8)
        return path

    return clip


@pytest.fixture
def picture() -> Callable[[Path, str], Path]:
    """Write a picture of one level."""

    def picture(path: Path, level: str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((24, 32, 3), LEVELS[level], np.uint8))
        return path

    return picture


@pytest.fixture
def seeing() -> type[Seeing]:
    """The model."""
    return Seeing
