"""Where events go: JSON lines, subtitles, annotated video. A sink is a file here, a line in `table.py` and its test.

The names stand in `__init__.pyi`: what a command offers is said before any codec is loaded.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
