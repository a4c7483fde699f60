"""The paper's controlled comparison at small size: VL-JEPA against a token-space VLM on the same frozen features."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
