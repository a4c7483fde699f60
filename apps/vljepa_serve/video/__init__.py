"""Encoded video of the last hours, as it came from the cameras: kept in pieces, given as clips.

>>> from vljepa_serve.video import KeptVideo, Piece, Rest, VideoKeeper, VideoRecorder, clip_path
>>> kept = KeptVideo("video")
>>> kept.holds("door", 100.0, 110.0), kept.pieces("door", 100.0, 110.0)
(False, [])
>>> Piece.parse("1000-11000.mp4").end
11.0
>>> keeper = VideoKeeper("door", kept)
>>> rest: Rest | None = keeper.rest()
>>> keeper.ring.seconds, rest is None  # nothing has come
(60.0, True)
>>> from pathlib import Path
>>> from vljepa_serve.config import LogConfig
>>> with VideoRecorder(Path("kept"), LogConfig(), lambda about, sentence: None) as recorder:
...     recorder.want_clip("door", "fall", start=100.0, end=104.0) is None  # it sends nothing
True
>>> clip_path(Path("kept"), "../serve.toml") is None
True
"""

from vljepa_serve.video.keeper import VideoKeeper
from vljepa_serve.video.kept import KeptVideo, Piece, Rest
from vljepa_serve.video.recorder import VideoRecorder, clip_path

__all__ = ["KeptVideo", "Piece", "Rest", "VideoKeeper", "VideoRecorder", "clip_path"]
