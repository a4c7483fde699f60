"""Where frames come from: files, pictures, folders, cameras, network streams and GStreamer pipelines.

>>> from vljepa_runtime.sources import Frame, Hints, open_source, resolve, source_name
>>> with open_source("clip.mp4") as source:
...     for item in source.frames(Hints(min_interval_s=2)):  # and the last
...         if isinstance(item, Frame):
...             print(item.time_s, item.image.shape)
0.0 (128, 128, 3)
2.0 (128, 128, 3)
4.0 (128, 128, 3)
5.875 (128, 128, 3)
>>> resolve("0")  # a camera
0
>>> from vljepa_runtime.sources import is_pipeline
>>> is_pipeline("gst:videotestsrc"), is_pipeline("clip.mp4")
(True, False)
>>> source_name("rtsp://admin:hunter2@10.0.0.5/live")  # as reports call it
'rtsp://***@10.0.0.5/live'

`naming.py` says what a name means, `opening.py` opens it. What is opened has a room: `pictures` (stills and folders),
`video` (what ends, from a disk or a server), `live` (cameras, and all that goes on), `network` (HTTP and RTSP).
The names stand in `__init__.pyi`: a frame needs no decoder to be imported.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
