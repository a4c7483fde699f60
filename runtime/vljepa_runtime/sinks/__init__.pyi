from .group import SinkGroup as SinkGroup
from .jsonl import JsonlSink as JsonlSink
from .protocol import Sink as Sink
from .subtitles import SubtitleSink as SubtitleSink
from .table import SINKS as SINKS
from .table import SinkForm as SinkForm
from .video import VideoSink as VideoSink
