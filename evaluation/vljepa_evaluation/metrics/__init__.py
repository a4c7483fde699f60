"""Numbers only: arrays, texts and times in, scores with their intervals out. NumPy, no model, no world.

`cider.py` words against references; `ranks.py` the right candidate among all; `matching.py` what belongs together in
time; `curves.py` quality against decodings; `intervals.py` how sure a number is.
"""

from vljepa_evaluation.metrics.cider import CiderD, cider_d, tokenise
from vljepa_evaluation.metrics.curves import Curve, HeldOut, Ratio, held_out, ratio_at_equal_quality, ratios
from vljepa_evaluation.metrics.intervals import Estimate, mean_of
from vljepa_evaluation.metrics.matching import Annotation, f1_of_moments, match_annotations
from vljepa_evaluation.metrics.ranks import ranks

__all__ = [
    "Annotation",
    "CiderD",
    "Curve",
    "Estimate",
    "HeldOut",
    "Ratio",
    "cider_d",
    "f1_of_moments",
    "held_out",
    "match_annotations",
    "mean_of",
    "ranks",
    "ratio_at_equal_quality",
    "ratios",
    "tokenise",
]
