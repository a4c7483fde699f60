"""Clips of real videos with texts: a manifest of this project, and public annotation files read directly. No torch.

>>> from pathlib import Path
>>> from vljepa_data.annotations import Segment, by_segment, read_annotations, read_segment, survey
>>> examples = read_annotations("clips.csv")
>>> for segment, texts in by_segment(examples).items():
...     print(f"{segment}: {texts[0].text}")
clip.mp4 from 0 s to 3.437 s: a white box bounces
clip.mp4 from 3.437 s to 6 s: a purple ball stays still
>>> examples[0]
Example(segment=Segment(path=...Path('clip.mp4'), start_s=0.0, end_s=3.437), text='a white box bounces', query=...)

A table of one's own, row by row, with file and line in every error:

>>> from vljepa_data.annotations import csv_rows
>>> [row.number("end_s") for row in csv_rows(Path("clips.csv"), "path", "end_s")]
[3.437, 6.0]

Which of them cannot be read, and what a model sees of one that can:

>>> survey([examples[0].segment, Segment(Path("gone.mp4"))])
[Unusable(segment=Segment(path=...Path('gone.mp4'), start_s=0.0, end_s=None), reason='...')]
>>> from vljepa_runtime import load
>>> read_segment(examples[0].segment, load("tiny").preprocess).frames.shape
(8, 96, 96, 3)
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
