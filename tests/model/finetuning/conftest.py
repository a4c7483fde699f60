"""Videos of the procedural world as H.264 files with a manifest, and a small checkpoint to fine-tune on them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest
import torch

import vljepa_model
from vljepa_data.world import PROMPTS, Split, make_clip
from vljepa_data.world.language import caption, paraphrases
from vljepa_model.checkpoint import save_checkpoint
from vljepa_model.config import ModelConfig, TextStackConfig, XEncoderConfig, YDecoderConfig
from vljepa_model.vl_jepa import VLJEPA

SHIPPED = Path(vljepa_model.__file__).parent / "checkpoints" / "tiny"
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


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Models this small lose more to waiting threads than they gain, and more still on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


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


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a few ten thousand untrained weights with the shipped tokenizer."""
    stack = TextStackConfig(width=24, depth=2, heads=4, kv_heads=2, head_dim=8, mlp=40)
    config = ModelConfig(
        x_encoder=XEncoderConfig(width=32, depth=2, heads=2, mlp=48, patch=8, size=32, frames=4),
        predictor=stack,
        y_encoder=stack,
        y_decoder=YDecoderConfig(stack=stack, prefix=2),
        embedding_dim=16,
        vocab_size=1024,
    )
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("small")
    return save_checkpoint(VLJEPA(config), folder, tokenizer_file=SHIPPED / "tokenizer.json", dtype="fp32")
