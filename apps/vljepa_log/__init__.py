"""The log of predicted embeddings: written as streams run, searched by words, decoded only when words are wanted.

The names stand in `__init__.pyi`; each is imported when it is first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
