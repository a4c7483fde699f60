"""Training of VL-JEPA on the procedural world: recipe, batches, objective and optimiser."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
