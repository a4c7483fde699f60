"""Several streams through one model: a thread reads each, their windows take turns, their events come as one row.

The names stand in `__init__.pyi`; each is imported when it is first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
