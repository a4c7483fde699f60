"""Own states from a few examples each: pictures, clips or moments of a log become what `States` of the runtime holds.

The names stand in `__init__.pyi`; each is imported when it is first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
