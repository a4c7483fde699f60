"""Where events go: JSON lines, subtitles, annotated video. A sink is a file here, a line in `table.py` and its test.

>>> from pathlib import Path
>>> from vljepa_runtime import Event
>>> from vljepa_runtime.sinks import SINKS, JsonlSink, SinkGroup, SubtitleSink
>>> with SinkGroup() as sinks:
...     sinks.add(JsonlSink("told.jsonl"))
...     sinks.add(SubtitleSink("told.srt"))
...     sinks.write(Event(stream="door", kind="segment", start_s=1, end_s=3.5, text="a ball falls"))
>>> print(Path("told.srt").read_text())
1
00:00:01,000 --> 00:00:03,500
a ball falls
>>> Event.from_json(Path("told.jsonl").read_text()).text
'a ball falls'
>>> SINKS[1]  # how `vljepa run` offers it
SinkForm(option='srt', opens='subtitles:SubtitleSink', appends=False, shared=False, metavar='FILE', ...)

The names stand in `__init__.pyi`: what a command offers is said before any codec is loaded.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
