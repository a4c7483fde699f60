"""Which clip a sample is about, as a text that outlives the measuring: `world/mixed/1000003`, `film.mp4#t=2,5`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vljepa_data.annotations import Segment, read_segment
from vljepa_data.world import Split, make_clip
from vljepa_evaluation.tasks.protocol import UInt8
from vljepa_runtime.errors import InputError
from vljepa_runtime.preprocessing import Preprocess

__all__ = ["FIRST_SEED", "SUPPLIES", "clip_frames", "own_address", "world_address"]

FIRST_SEED = 1_000_000
"""Held-out clips start here; training monitors itself on the first seeds of the same split."""
WORLD = "world/"
PART = "#t="  # of a media fragment (W3C, Media Fragments URI 1.0)

LOOK = Preprocess(frames=8, size=192, patch=16, resize="pad")  # for people, not for a model


@dataclass(frozen=True, slots=True)
class _Supply:
    split: Split
    kind: str | None
    first_seed: int


SUPPLIES = {
    "mixed": _Supply(Split.TEST, None, FIRST_SEED),
    "pair": _Supply(Split.TEST, "pair", 2 * FIRST_SEED),
    "composition": _Supply(Split.COMPOSITION, "single", FIRST_SEED),
}


def world_address(supply: str, seed: int) -> str:
    """Of a clip of the procedural world."""
    return f"{WORLD}{supply}/{seed}"


def own_address(segment: Segment) -> str:
    """Of a part of a video file."""
    end = "" if segment.end_s is None else f"{segment.end_s:g}"
    return f"{segment.path}{PART}{segment.start_s:g},{end}"


def clip_frames(address: str) -> UInt8:
    """The clip of a sample, to look at.

    Args:
        address: An entry of `TaskResult.shown`.

    Returns:
        Frames (T, H, W, 3) uint8 RGB.

    Raises:
        InputError: it is no such address.
        SourceError: the video cannot be read.

    Examples:
        >>> from vljepa_evaluation.tasks import clip_frames
        >>> clip_frames("world/mixed/1000003").shape
        (8, 96, 96, 3)
    """
    if address.startswith(WORLD):
        supply, _, seed = address.removeprefix(WORLD).partition("/")
        if supply not in SUPPLIES or not seed.isdecimal():
            raise InputError(f"expected a clip such as {WORLD}mixed/{FIRST_SEED}, got {address!r}")
        return make_clip(int(seed), SUPPLIES[supply].split, kind=SUPPLIES[supply].kind).frames
    path, found, part = address.rpartition(PART)
    try:
        start, _, end = part.partition(",")
        start_s, end_s = float(start), float(end) if end else None
    except ValueError:
        found = ""
    if not found:
        raise InputError(f"expected a clip such as film.mp4{PART}2,5, got {address!r}")
    segment = Segment(path=Path(path), start_s=start_s, end_s=end_s)
    return read_segment(segment, LOOK).frames
