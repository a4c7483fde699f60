"""Long videos window by window: where a sentence's moment is, and what selective decoding would have said when."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vljepa_data.annotations import Example, Part
from vljepa_evaluation.metrics import interval_iou
from vljepa_evaluation.tasks.protocol import Evaluable, Float32
from vljepa_evaluation.tasks.selective import Sweep, curves
from vljepa_evaluation.tasks.streams import Recording
from vljepa_evaluation.tasks.task import TaskResult
from vljepa_runtime.errors import SourceError
from vljepa_runtime.preprocessing import Preprocess, WindowSampler
from vljepa_runtime.selection import OfflineWard, OnlineSelection, Uniform
from vljepa_runtime.sources import Frame, open_file

__all__ = ["moments", "streaming"]

Progress = Callable[[float, str], None]
Float64 = npt.NDArray[np.float64]

WINDOWS = 32  # of a video in which moments are looked for: 528 runs of neighbours
STRIDE_S = 0.5
OVERLAPS = (0.3, 0.5, 0.7)
RARE_S = 2.85  # between decodings: the paper's 0.35 Hz, beside 1 Hz
SCALE = (0.0, 10.0)


def moments(
    model: Evaluable,
    pre: Preprocess,
    part: Part,
    name: str,
    progress: Progress,
    unreadable: list[str] | None,
) -> Iterator[TaskResult]:
    """Recall at 1 of moments: the run of neighbouring windows that stands out most from the rest of the video.

    How far it stands out is what Otsu's threshold maximises (IEEE Trans. Syst. Man Cybern. 9, 1979), here over runs of
    time: how much nearer to the sentence its windows are than the others, weighted by how many either side has.

    Args:
        model: Encodes, predicts and embeds texts.
        pre: Cuts the windows.
        part: Sentences with their parts of videos.
        name: Of the report.
        progress: Called with the share done and what is being done.
        unreadable: Takes why a video cannot be read, which is then left out; None raises.

    Raises:
        SourceError: a video cannot be read and `unreadable` is None, or none can.
    """
    overlaps: list[float] = []
    chances: list[list[float]] = []
    groups: list[int] = []
    for number, (examples, rows, windows_s) in enumerate(
        _watched(model, pre, part, progress, unreadable, WINDOWS)
    ):
        spans, bounds = _runs(windows_s)
        nearness = model.embed_text([example.text for example in examples]) @ rows.T
        for example, best in zip(examples, _standing_out(nearness, bounds).argmax(axis=1).tolist()):
            truth = (example.segment.start_s, example.segment.end_s or float(windows_s[-1, 1]))
            found = interval_iou(spans, truth)
            overlaps.append(float(found[best]))
            chances.append([float((found >= least).mean()) for least in OVERLAPS])
            groups.append(number)
    hits = {f"recall_at_1_iou_{least}": np.array(overlaps) >= least for least in OVERLAPS}
    yield TaskResult.of(
        name,
        "recall_at_1_iou_0.5",
        {**hits, "mean_iou": overlaps},
        chance=float(np.mean([chance[1] for chance in chances])),
        note=f"{len(overlaps)} sentences about {len(set(groups))} videos, runs of up to {WINDOWS} windows",
        groups=groups,
    )
    progress(1.0, "windows")


def streaming(
    model: Evaluable,
    pre: Preprocess,
    part: Part,
    name: str,
    progress: Progress,
    unreadable: list[str] | None,
) -> Iterator[TaskResult]:
    """Selective decoding on annotated videos (arXiv 2512.10942, 4.5): CIDEr-D of the output nearest to each annotation.

    Args:
        model: Encodes, predicts and decodes.
        pre: Cuts the windows, one every half second.
        part: What happens when in whole videos.
        name: Of the report.
        progress: Called with the share done and what is being done.
        unreadable: Takes why a video cannot be read, which is then left out; None raises.

    Raises:
        SourceError: a video cannot be read and `unreadable` is None, or none can.
    """
    recordings = []
    for examples, rows, windows_s in _watched(model, pre, part, progress, unreadable):
        times = [(each.segment.start_s, each.segment.end_s or float(windows_s[-1, 1])) for each in examples]
        recordings.append(
            Recording(rows, windows_s, np.array(times), tuple((each.text,) for each in examples))
        )
    found = curves(recordings, model.decode, swept=SWEPT)
    scores = {
        f"cider_d_{curve.policy}": (curve.scores[0] / curve.annotations).clip(*SCALE) for curve in found
    }
    rates = {curve.policy: float(curve.rates[0]) for curve in found}
    said = ", ".join(f"{policy} {rate:.1f}" for policy, rate in rates.items())
    yield TaskResult.of(
        name,
        "cider_d_ward_2.85s",
        scores,
        spans=dict.fromkeys(scores, SCALE),
        note=f"mean over {len(recordings)} videos, on a scale to 10; decodings a minute: {said}",
    )
    progress(1.0, "decoding")


SWEPT: Sweep = {
    "uniform_1s": [(1.0, Uniform(1.0))],
    "uniform_2.85s": [(RARE_S, Uniform(RARE_S))],
    "ward_2.85s": [(60 / RARE_S, OfflineWard(per_minute=60 / RARE_S, pooling="midpoint"))],
    "ward_2.85s_pooled": [(60 / RARE_S, OfflineWard(per_minute=60 / RARE_S, pooling="mean"))],
    "online": [(0.0, OnlineSelection())],
}


def _watched(
    model: Evaluable,
    pre: Preprocess,
    part: Part,
    progress: Progress,
    unreadable: list[str] | None,
    most: int | None = None,
) -> Iterator[tuple[list[Example], Float32, Float64]]:
    """The annotations of each video, with its windows as `watch` gives them; at most so many of about equal strides."""
    by_video = _by_video(part)
    for number, (path, examples) in enumerate(by_video.items()):
        progress(number / len(by_video), "windows")
        try:
            stride_s = STRIDE_S if most is None else max(STRIDE_S, _seconds(path, examples) / most)
            rows, windows_s = watch(model, pre, path, part.prompt, stride_s)
        except SourceError as error:
            if unreadable is None or len(unreadable) + 1 == len(by_video):
                raise
            unreadable.append(str(error))
            continue
        yield examples, rows, windows_s


def watch(
    model: Evaluable, pre: Preprocess, path: Path, query: str, stride_s: float
) -> tuple[Float32, Float64]:
    """Every window of a video asked one thing: embeddings (T, S), and (T, 2) start and end of each."""
    sampler, rows, times = WindowSampler(pre, stride_s), list[Float32](), list[tuple[float, float]]()
    with open_file(path) as source:
        for item in source:
            for window in sampler.push(item) if isinstance(item, Frame) else ():
                rows.append(model.predict(model.encode(window.clip), query))
                times.append((window.start_s, window.end_s))
    for window in sampler.flush():
        rows.append(model.predict(model.encode(window.clip), query))
        times.append((window.start_s, window.end_s))
    if not rows:
        raise SourceError(f"{path} has no picture")
    return np.stack(rows), np.array(times, np.float64)


def _runs(windows_s: Float64) -> tuple[Float64, npt.NDArray[np.int64]]:
    """Every run of neighbours: (R, 2) start and end in seconds, (R, 2) numbers of the first and behind the last window.

    A window stands for the time up to the next one.
    """
    starts, ends = windows_s[:, 0], np.append(windows_s[1:, 0], windows_s[-1, 1])
    first, last = np.triu_indices(len(windows_s))
    return np.stack([starts[first], ends[last]], axis=1), np.stack([first, last + 1], axis=1)


def _standing_out(nearness: Float32, bounds: npt.NDArray[np.int64]) -> Float64:
    """Of similarities (Q, T) and runs (R, 2): (Q, R), 0 for the whole."""
    total = nearness.shape[1]
    sums = np.concatenate(
        [np.zeros((len(nearness), 1)), np.cumsum(nearness, axis=1, dtype=np.float64)], axis=1
    )
    inside = sums[:, bounds[:, 1]] - sums[:, bounds[:, 0]]
    count = (bounds[:, 1] - bounds[:, 0]).astype(np.float64)
    rest = np.maximum(total - count, 1.0)
    apart = inside / count - (sums[:, -1:] - inside) / rest
    return np.asarray(apart * np.sqrt(count * (total - count)) / total, np.float64)


def _seconds(path: Path, examples: Sequence[Example]) -> float:
    """How long a video says it is, at least to the end of the last sentence."""
    with open_file(path) as source:
        announced = source.announced()
    told = announced.frames * announced.step_s if announced and announced.frames else 0.0
    return max(told, *(example.segment.end_s or 0.0 for example in examples))


def _by_video(part: Part) -> Mapping[Path, list[Example]]:
    """Annotations of each video, in the order of time."""
    found: dict[Path, list[Example]] = {}
    for item in part.items:
        if isinstance(item, Example):
            found.setdefault(item.segment.path, []).append(item)
    return {path: sorted(group, key=lambda each: each.segment.start_s) for path, group in found.items()}
