"""Clips of real videos with texts: a manifest of this project, and public annotation files read directly. No torch."""

from vljepa_data.annotations.example import Example, Segment, by_segment
from vljepa_data.annotations.formats import ANNOTATION_FORMATS, read_annotations
from vljepa_data.annotations.videos import Unusable, read_segment, survey

__all__ = [
    "ANNOTATION_FORMATS",
    "Example",
    "Segment",
    "Unusable",
    "by_segment",
    "read_annotations",
    "read_segment",
    "survey",
]
