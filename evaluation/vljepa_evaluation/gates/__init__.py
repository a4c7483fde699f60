"""The gates that a bundle must keep, wherever it runs: per graph, and end to end on the procedural world. NumPy only.

    from vljepa_evaluation.gates import Reference, check

The reference is what the float model gave; a bundle carries it, so that a device without torch can repeat the gates.
The names stand in `__init__.pyi`. Each is imported when it is first used: limits cost no NumPy.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
