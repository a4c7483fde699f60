"""Standing queries: told when a stream shows what was described, and when it does no longer, with a clip from before.

>>> import vljepa_runtime as vj
>>> from vljepa_runtime.alerts import Alert
>>> model = vj.load("tiny")
>>> falls = Alert(text="a ball falls", threshold=0.3, hold_s=0.5)
>>> with model.session(alerts=[falls], decode="never") as session:
...     for event in session.run("clip.mp4"):
...         if event.kind == "alert":
...             print(event.text, "begins" if event.active else "ends", event.start_s)
a ball falls begins ...
a ball falls ends ...

`rule.py` says what an alert is, `words.py` which threshold its words give, `watch.py` when it is told, `clips.py` keeps
what a camera saw before.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
