"""Text to ids and back, by a `tokenizer.json` of which only what is understood is admitted."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
