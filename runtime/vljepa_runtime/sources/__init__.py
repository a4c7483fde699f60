"""Where frames come from: files, pictures, folders, cameras, network streams and GStreamer pipelines.

    for item in open_source("clip.mp4"):
        if isinstance(item, Frame):
            print(item.time_s, item.image.shape)

`naming.py` says what a name means, `opening.py` opens it. What is opened has a room: `pictures` (stills and folders),
`video` (what ends, from a disk or a server), `live` (cameras, and all that goes on), `network` (HTTP and RTSP).
The names stand in `__init__.pyi`: a frame needs no decoder to be imported.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
