"""The table of sinks, as `vljepa run` offers them: a new one is a file here and a line below."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from vljepa_runtime.sinks.protocol import Sink

__all__ = ["SINKS", "SinkForm"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkForm:
    """One kind of output file.

    Attributes:
        option: What it is called on the command line, and the name of its argument.
        opens: Module in this package and class; `opens(path, overwrite=...)` gives the sink.
        metavar: What a user puts behind the option.
        help: What becomes of it.
    """

    option: str
    opens: tuple[str, str]
    metavar: str = "FILE"
    help: str

    def open(self, path: Path, *, overwrite: bool) -> Sink:
        """Open the sink; its module is imported here and not before."""
        module, name = self.opens
        sink: Sink = getattr(import_module(f"vljepa_runtime.sinks.{module}"), name)(path, overwrite=overwrite)
        return sink


SINKS = (
    SinkForm(option="jsonl", opens=("jsonl", "JsonlSink"), help="also write the events to FILE, or a pipe"),
    SinkForm(option="srt", opens=("subtitles", "SubtitleSink"), help="write subtitles"),
    SinkForm(
        option="save",
        opens=("video", "VideoSink"),
        metavar="FILE.mp4",
        help="write the video with the events drawn in",
    ),
)
