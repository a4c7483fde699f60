"""Files, whatever they hold: written whole or not at all, read strictly. Knows no model and no bundle."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
