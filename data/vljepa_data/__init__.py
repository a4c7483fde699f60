"""Clips with their truth: the procedural world, and annotation files of published data sets.

Import from the two sub-packages: `vljepa_data.world`, `vljepa_data.annotations`.
"""

__all__: list[str] = []
