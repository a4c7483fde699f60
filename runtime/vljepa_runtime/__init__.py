"""Run a VL-JEPA bundle on a device: frames in; embeddings, labels, answers and events out. No torch.

>>> import vljepa_runtime as vj
>>> model = vj.load("tiny")
>>> with model.session() as session:
...     for event in session.run("clip.mp4"):
...         if event.kind == "segment":
...             print(f"{event.start_s:.0f} to {event.end_s:.0f} s: {event.text}")
0 to 3 s: a white box bounces
3 to 6 s: a purple ball ...

The names stand in `__init__.pyi`. Each is imported when it is first used, so that a command that needs few starts fast.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
