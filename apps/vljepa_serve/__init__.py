"""`vljepa serve`: cameras that run for months behind a page, with everything kept and nothing to build.

`service.py` is what runs, `app.py` the web over it; the names stand in `__init__.pyi`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
