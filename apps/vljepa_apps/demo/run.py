"""The demo's run: one source through the runtime's public API, every decoding judged, every frame drawn on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vljepa_apps.demo.ground_truth import GroundTruth, judge
from vljepa_apps.demo.overlay import Overlay
from vljepa_apps.demo.timeline import Bar, Match, Thumbnails
from vljepa_runtime.sinks import JsonlSink, VideoSink

if TYPE_CHECKING:
    from vljepa_runtime import Event, Model, SessionStats
    from vljepa_runtime.sources import Source

__all__ = ["Decoding", "DemoRun", "run_demo"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoding:
    """One decoded event.

    Attributes:
        start_s: Where its first window begins.
        end_s: Where the last window known at its decoding ends.
        written_s: Time of the stream at which the Y-decoder wrote it.
        text: What it wrote.
        true_text: What was going on then; empty without truth.
        match: How well the two agree.
        unknown: It shows nothing that the model knows, and `text` says so; nothing was decoded.
    """

    start_s: float
    end_s: float
    written_s: float
    text: str
    true_text: str = ""
    match: Match = Match.NONE
    unknown: bool = False

    @property
    def time_s(self) -> float:
        """The moment it stands for."""
        return (self.start_s + self.end_s) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoRun:
    """All that a run gave.

    Attributes:
        decodings: Every segment, in order.
        seconds: Length of the stream that was run.
        stride_s: Seconds between its windows.
        stats: The session's counts and times.
        thumbnails: Small pictures of it.
        interrupted: Ended by Ctrl-C.
    """

    decodings: tuple[Decoding, ...]
    seconds: float
    stride_s: float
    stats: SessionStats
    thumbnails: Thumbnails
    interrupted: bool

    @property
    def bars(self) -> tuple[Bar, ...]:
        """For the timeline: a text holds until the next one begins."""
        starts = [0.0, *(decoding.start_s for decoding in self.decodings[1:]), self.seconds]
        return tuple(
            Bar(
                start_s=begin,
                end_s=max(begin, end),
                text=decoding.text,
                match=decoding.match,
                unknown=decoding.unknown,
            )
            for decoding, begin, end in zip(self.decodings, starts, starts[1:])
        )


def run_demo(
    model: Model,
    source: Source,
    *,
    truth: GroundTruth | None,
    options: Mapping[str, Any],
    video: Path,
    events: Path,
    limit_s: float | None = None,
    on_decoding: Callable[[Decoding], None] = lambda decoding: None,
    on_time: Callable[[float], None] = lambda time_s: None,
) -> DemoRun:
    """Run a source to its end.

    Args:
        model: With a Y-decoder.
        source: Is closed at the end.
        truth: What it shows, when known.
        options: Of the session, see `Session`; with a `stride_s`.
        video: The annotated video; replaced.
        events: The events as JSON lines; replaced.
        limit_s: Stop after this much of the stream.
        on_decoding: Called with each decoding.
        on_time: Called with the time of each frame.
    """
    decodings: list[Decoding] = []
    interrupted = False
    with ExitStack() as stack:
        jsonl = stack.enter_context(JsonlSink(events, overwrite=True))
        session = stack.enter_context(model.session(**options))
        sink = stack.enter_context(VideoSink(video, overwrite=True))
        overlay = Overlay(sink, truth=truth, on_time=on_time)
        try:
            for event in session.run(source, on_frame=overlay.draw, max_seconds=limit_s):
                jsonl.write(event)
                sink.write(event)
                if event.kind == "segment":
                    decodings.append(_judged(event, overlay.now_s, truth))
                    overlay.decodings = sum(not each.unknown for each in decodings)
                    on_decoding(decodings[-1])
        except KeyboardInterrupt:
            interrupted = True
        stats = session.stats
    return DemoRun(
        decodings=tuple(decodings),
        seconds=round(overlay.end_s, 3),
        stride_s=options["stride_s"],
        stats=stats,
        thumbnails=overlay.thumbnails,
        interrupted=interrupted,
    )


def _judged(event: Event, now_s: float, truth: GroundTruth | None) -> Decoding:
    decoding = Decoding(
        start_s=event.start_s,
        end_s=event.end_s,
        written_s=now_s,
        text=event.shown,
        unknown=bool(event.unknown),
    )
    if truth is None:
        return decoding
    true_text = truth.caption_at(decoding.time_s)
    return replace(decoding, true_text=true_text, match=judge(decoding.text, true_text))
