"""What samples are made of: windows with a text and a query each, of the procedural world or of clips of one's own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vljepa_data.annotations import AnnotationFile, Example, by_segment, read_segment
from vljepa_data.world import LEVELS, PROMPTS, QUESTION_TYPES, Split, caption_lesson, make_clip, wordings
from vljepa_runtime.preprocessing import Clip, Preprocess
from vljepa_runtime.printable import printable

__all__ = ["ORDER_SEED", "Footage", "OwnClips", "choose", "own_footage", "world_footage"]

QUERIES = (*PROMPTS.values(), "What colour is the ball?", "How many objects are there?")
QUERIES_EACH = 4  # of a window: 32 windows are asked all 119 questions of the world
LEAST = 2  # windows: a full and a partial one
PART_FOR_PARITY = 4  # a quarter of the clips at most; the others are calibrated on
ORDER_SEED = 0
LONGEST_NAME = 150  # characters that a manifest keeps of a file's name


@dataclass(frozen=True, slots=True, kw_only=True)
class Footage:
    """Windows in order, each with a text that may be said of it and a query.

    Attributes:
        windows: Frames (T, H, W, 3) uint8, or fitted clips.
        texts: One per window.
        queries: One per window, or several, in turn; the first is long.
    """

    windows: tuple[npt.NDArray[Any] | Clip, ...]
    texts: tuple[str, ...]
    queries: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnClips:
    """Which clips of one's own an export uses, and what for; no video is in both parts where there are several.

    Attributes:
        name: Of the annotation file.
        parity: Clips that graphs are compared with torch on.
        calibration: Clips that fix the ranges of activations; empty where nothing is calibrated.
    """

    name: str
    parity: tuple[Example, ...]
    calibration: tuple[Example, ...] = ()


def world_footage(pre: Preprocess, *, clips: int = 8, seed: int = 0, varied: bool = False) -> Footage:
    """Seeded clips of the world's test split.

    Args:
        pre: Their geometry.
        clips: How many.
        seed: Of the first.
        varied: Captions of every level, and all kinds of questions, several of a window: what ranges are fixed on. An
            int8 predictor that was calibrated on five queries had a cosine of 0.57 for a sixth.
    """
    rng = np.random.default_rng(seed)
    made = [make_clip(seed + i, Split.TEST, size=pre.size, frames=pre.frames) for i in range(clips)]
    levels = cycle(LEVELS if varied else ("caption",))
    queries, count = (_every_query(rng), clips * QUERIES_EACH) if varied else (QUERIES, clips)
    return Footage(
        windows=tuple(clip.frames for clip in made),
        texts=tuple(caption_lesson(clip, level, rng).target for clip, level in zip(made, levels)),
        queries=(" ".join(QUERIES), *islice(cycle(queries), 1, count)),
    )


def _every_query(rng: np.random.Generator) -> list[str]:
    """Prompts and questions, mixed."""
    every = [*PROMPTS.values(), *(question for kind in QUESTION_TYPES for question in wordings(kind))]
    return [every[index] for index in rng.permutation(len(every))]


def own_footage(pre: Preprocess, examples: Sequence[Example]) -> Footage:
    """The clips of examples; one alone is taken twice, as a full and a partial window.

    Raises:
        SourceError: a video cannot be read.
    """
    clips = [read_segment(example.segment, pre) for example in examples]
    examples = [example.asked(PROMPTS, "classify")[0] for example in examples]
    count = max(LEAST, len(clips))
    queries = dict.fromkeys([*PROMPTS.values(), *(example.query for example in examples)])
    return Footage(
        windows=tuple(islice(cycle(clips), count)),
        texts=tuple(islice(cycle(example.text for example in examples), count)),
        queries=(
            " ".join(list(queries)[: len(QUERIES)]),
            *(e.query for e in islice(cycle(examples), 1, count)),
        ),
    )


def choose(own: AnnotationFile, *, parity: int, calibration: int) -> OwnClips:
    """Share the clips of a file out by video, in an order that depends on their number alone.

    Args:
        own: The file; of each clip the first text is used.
        parity: Most clips to compare with torch on.
        calibration: Most clips to calibrate on; 0 where nothing is.

    Raises:
        AnnotationError: the file cannot be read.
    """
    name = printable(own.name)[:LONGEST_NAME]
    firsts = [texts[0] for texts in by_segment(own.read()).values()]
    mixed = [firsts[index] for index in np.random.default_rng(ORDER_SEED).permutation(len(firsts))]
    if not calibration:
        return OwnClips(name=name, parity=tuple(mixed[:parity]))
    held = _videos_of(mixed, min(parity, max(1, len(mixed) // PART_FOR_PARITY)))
    apart = [example for example in mixed if example.segment.path in held]
    rest = [example for example in mixed if example.segment.path not in held] or apart
    return OwnClips(name=name, parity=tuple(apart[:parity]), calibration=tuple(rest[:calibration]))


def _videos_of(examples: Sequence[Example], wanted: int) -> set[Path]:
    """The first videos that have as many clips together as are wanted."""
    clips = Counter(example.segment.path for example in examples)
    held: set[Path] = set()
    for path in clips:  # in the order of the examples
        if sum(clips[each] for each in held) >= wanted:
            break
        held.add(path)
    return held
