"""From frames to what the X-encoder takes: sampled, fitted once, cut into tubelets, some of them left out."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
