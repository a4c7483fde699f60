"""Where events go: JSON lines, subtitles, annotated video."""

from __future__ import annotations

from vljepa_runtime.sinks.group import SinkGroup
from vljepa_runtime.sinks.jsonl import JsonlSink
from vljepa_runtime.sinks.protocol import Sink
from vljepa_runtime.sinks.subtitles import SubtitleSink
from vljepa_runtime.sinks.video import VideoSink

__all__ = ["JsonlSink", "Sink", "SinkGroup", "SubtitleSink", "VideoSink"]
