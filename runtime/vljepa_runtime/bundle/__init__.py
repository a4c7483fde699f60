"""A bundle: the manifest, the files it lists, how they are read and how they are written. Knows no engine.

The names stand in `__init__.pyi`: where a bundle may be written is asked before NumPy is loaded.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
