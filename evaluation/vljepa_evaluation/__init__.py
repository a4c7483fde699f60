"""How good is it: metrics, tasks with their truth, and the gates that a bundle keeps. NumPy only, no torch.

Import from the three sub-packages: `vljepa_evaluation.metrics`, `vljepa_evaluation.tasks`, `vljepa_evaluation.gates`.
"""

__all__: list[str] = []
