"""Clips with their truth, and what is measured on them: the procedural world, metrics and held-out tasks.

Import from the three sub-packages: `vljepa_data.world`, `vljepa_data.metrics`, `vljepa_data.evaluation`.
"""

__all__: list[str] = []
