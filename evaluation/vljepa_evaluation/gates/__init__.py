"""The gates that a bundle must keep, wherever it runs: per graph, and end to end on the procedural world. NumPy only.

    from vljepa_evaluation.gates import Reference, check, limits_for

The reference is what the float model gave; a bundle carries it, so that a device without torch can repeat the gates.
"""

from vljepa_evaluation.gates.behaviour import Agreement, Behaviour, Scenes, agreement, behave
from vljepa_evaluation.gates.limits import LIMITS, PSNR_FLOOR_DB, Limits, limits_for
from vljepa_evaluation.gates.parity import GraphParity, compare_outputs
from vljepa_evaluation.gates.reference import REFERENCE_FILE, Reference, record_reference
from vljepa_evaluation.gates.verdict import GraphVerdict, Verdict, check

__all__ = [
    "LIMITS",
    "PSNR_FLOOR_DB",
    "REFERENCE_FILE",
    "Agreement",
    "Behaviour",
    "GraphParity",
    "GraphVerdict",
    "Limits",
    "Reference",
    "Scenes",
    "Verdict",
    "agreement",
    "behave",
    "check",
    "compare_outputs",
    "limits_for",
    "record_reference",
]
