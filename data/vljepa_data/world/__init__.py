"""The procedural world: seeded clips, captions, questions and event streams whose truth is known exactly."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
