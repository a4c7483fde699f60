"""Is a graph what was meant? Everything that is fixed in it beside the float graph that it was made from. No torch.

A float graph and what a method made of it are walked together from their outputs: each value has to be explained, by
the same node, or by a row of the method (`patterns.py`) whose constants are the float ones within half a step. It
shares no code with what quantises; no input, engine or tolerance has a part in it.

The names stand in `__init__.pyi`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
