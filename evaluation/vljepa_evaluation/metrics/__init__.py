"""Numbers only: arrays, texts and times in, scores with their intervals out. NumPy, no model, no world.

`cider.py` words against references; `ranks.py` the right candidate among all; `matching.py` what belongs together in
time; `curves.py` quality against decodings; `intervals.py` how sure a number is; `paired.py` whether two differ.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
