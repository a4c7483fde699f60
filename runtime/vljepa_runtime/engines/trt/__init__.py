"""What TensorRT and TensorRT for RTX share: recipes, building, the cache of built engines, and running them.

The two libraries have one interface; `library.py` is the only place that knows which is which.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
