"""The table of sinks, as `vljepa run` offers them: a new one is a file here and a line below."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name

from vljepa_runtime.sinks.protocol import Sink

__all__ = ["SINKS", "SinkForm"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkForm:
    """One kind of output file.

    Attributes:
        option: What it is called on the command line, and the name of its argument.
        opens: File of this package and class, called with a path and `overwrite`; imported when it is opened.
        appends: Whether it takes `append`, too.
        shared: Whether one file takes the events of several streams; of others each stream has its own.
        metavar: What a user puts behind the option.
        help: What becomes of it.
    """

    option: str
    opens: str
    appends: bool = False
    shared: bool = False
    metavar: str = "FILE"
    help: str

    @property
    def suffix(self) -> str:
        """What its files end with."""
        return Path(self.metavar).suffix or f".{self.option}"

    def open(self, path: Path, *, overwrite: bool, append: bool = False) -> Sink:
        """Open the sink; `append` counts where it can go on at the end of a file."""
        options = {"append": append} if self.appends else {}
        sink: Sink = resolve_name(f"vljepa_runtime.sinks.{self.opens}")(path, overwrite=overwrite, **options)
        return sink


SINKS = (
    SinkForm(
        option="jsonl",
        opens="jsonl:JsonlSink",
        appends=True,
        shared=True,
        help="also write the events to FILE, or a pipe",
    ),
    SinkForm(option="srt", opens="subtitles:SubtitleSink", help="write subtitles"),
    SinkForm(
        option="save",
        opens="video:VideoSink",
        metavar="FILE.mp4",
        help="write the video with the events drawn in",
    ),
)
