"""Held-out tasks of the procedural world: what a model is asked, with the truth and a number with its interval.

    for result in evaluate(model, tasks=["retrieval", "vqa"], clips=300):
        print(result.task, result.main)

A task is a file here and a line in the table of `run.py`; `selective.py` and `streams.py` measure long streams.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
