"""VL-JEPA in torch: configuration, the four networks, their losses and checkpoints.

The names stand in `__init__.pyi`. Each is imported when it is first used: where a checkpoint lies costs no torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
