"""A stream as one picture: what it showed, what was true, what was said, and when words were written.

Draws with OpenCV alone, so that the light install can; knows nothing about models or metrics.
"""

from vljepa_apps.demo.timeline.content import Bar, Match, Timeline
from vljepa_apps.demo.timeline.picture import draw_timeline, save_png
from vljepa_apps.demo.timeline.thumbnails import Thumbnails

__all__ = ["Bar", "Match", "Thumbnails", "Timeline", "draw_timeline", "save_png"]
