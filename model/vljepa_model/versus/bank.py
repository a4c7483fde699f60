"""Clips of the procedural world, encoded once by the frozen X-encoder, with all that either contender may learn.

Written in chunks, each under a temporary name first, so that a build that was stopped goes on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vljepa_data.world import (
    Clip,
    Split,
    brief_caption,
    brief_captions,
    caption,
    make_clip,
    meaning,
    paraphrases,
)
from vljepa_model.x_encoder import XEncoder
from vljepa_runtime.files import replace_file
from vljepa_runtime.preprocessing import Preprocess, SalientTokens, clip_tokens, fit_frames

__all__ = ["LEVELS", "Bank", "Entry", "world_tokens"]

LEVELS = ("classify", "caption")
"""Kinds of answer that are learned, those that are measured."""

WORDINGS = 4
CHUNK = 256


@dataclass(frozen=True, slots=True)
class Entry:
    """What is said about one clip.

    Attributes:
        wordings: Per level the answers to draw from.
        meanings: Per level a number that is equal for equal meanings.
        references: Every canonical wording of the caption.
        label: Index into `brief_captions()`; -1 for clips in which two things happen.
    """

    wordings: dict[str, list[str]]
    meanings: dict[str, int]
    references: list[str]
    label: int


@dataclass(frozen=True, slots=True)
class Bank:
    """Visual tokens (n, N, Dv) float16 and an entry per clip."""

    visual: Tensor
    entries: Sequence[Entry]

    @classmethod
    def build(
        cls,
        folder: Path,
        encoder: XEncoder,
        pre: Preprocess,
        *,
        split: Split,
        first_seed: int,
        clips: int,
        keep: int,
        kind: str | None = None,
        on_progress: Callable[[int], None] = lambda done: None,
    ) -> Bank:
        """Encode clips, or read those that a stopped build left in the folder.

        Args:
            folder: Belongs to this split, encoder, geometry and number of tokens alone.
            encoder: The frozen X-encoder.
            pre: How its clips are cut into tokens.
            split: The part of the world that clips are drawn from.
            first_seed: Seed of the first clip; each later one's is one higher.
            clips: How many are encoded.
            keep: Visual tokens per clip.
            kind: Kind of clip, see `make_clip`.
            on_progress: Called with the number of clips ready.
        """
        folder.mkdir(parents=True, exist_ok=True)
        visual, entries = [], list[Entry]()
        for start in range(0, clips, CHUNK):
            stop = min(start + CHUNK, clips)
            path = folder / f"{start:06d}-{stop:06d}.npz"
            if not path.exists():
                made = [
                    make_clip(first_seed + i, split, kind=kind, size=pre.size, frames=pre.frames)
                    for i in range(start, stop)
                ]
                rng = np.random.default_rng([first_seed, start])
                _store(path, _encode(encoder, made, pre, keep), [_entry(clip, rng) for clip in made])
            tokens, some = _read(path)
            visual.append(torch.from_numpy(tokens))
            entries += some
            on_progress(stop)
        return cls(torch.cat(visual), entries)


def world_tokens(
    clip: Clip, pre: Preprocess, keep: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]:
    """The `keep` most salient tubelets of a clip, all where it has fewer: patches (N, P) and positions (N, 3)."""
    return clip_tokens(fit_frames(clip.frames, pre), tokens=SalientTokens(min(keep, pre.tokens)))


def _encode(encoder: XEncoder, clips: Sequence[Clip], pre: Preprocess, keep: int) -> npt.NDArray[np.float16]:
    parts = []
    device = next(encoder.parameters()).device
    for start in range(0, len(clips), 32):
        tokens = [world_tokens(clip, pre, keep) for clip in clips[start : start + 32]]
        patches, positions = (
            torch.from_numpy(np.stack(part)).to(device) for part in zip(*tokens, strict=True)
        )
        with torch.inference_mode():
            parts.append(encoder(patches, positions).to("cpu", torch.float16).numpy())
    return np.concatenate(parts)


def _entry(clip: Clip, rng: np.random.Generator) -> Entry:
    label = -1
    if len(clip.events) == 1:
        event = clip.events[0]
        label = brief_captions().index(brief_caption(event.actor, event.action))
    return Entry(
        wordings={level: [caption(clip.events, level, rng) for _ in range(WORDINGS)] for level in LEVELS},
        meanings={level: meaning(caption(clip.events, level)) for level in LEVELS},
        references=list(paraphrases(clip.events, "caption")),
        label=label,
    )


def _store(path: Path, visual: npt.NDArray[np.float16], entries: Sequence[Entry]) -> None:
    rows = [
        {"wordings": e.wordings, "meanings": e.meanings, "references": e.references, "label": e.label}
        for e in entries
    ]
    content = np.frombuffer(json.dumps(rows).encode(), np.uint8)
    replace_file(path, lambda file: np.savez(file, visual=visual, entries=content))


def _read(path: Path) -> tuple[npt.NDArray[np.float16], list[Entry]]:
    with np.load(path) as stored:
        rows: list[dict[str, Any]] = json.loads(stored["entries"].tobytes())
        return stored["visual"], [Entry(**entry) for entry in rows]
