"""The gates that a bundle must keep, wherever it runs: per graph, and end to end on the procedural world. NumPy only.

`check_gates` applies them; `vljepa_quant.limits_for` knows the limits of every precision.

A gate is a number and the limit that it must reach. *Parity* is how near one graph is to the float graph, *agreement*
how far the bundle does the same end to end; *behaviour* is what one model did. The reference is what the float model
gave; a bundle carries it, so that a device without torch can repeat the gates. A manifest says whether it is
*certified*: whether its export kept all of them.

The names stand in `__init__.pyi`. Each is imported when it is first used: limits cost no NumPy.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
