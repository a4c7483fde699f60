from .example import Example as Example
from .example import Segment as Segment
from .example import by_segment as by_segment
from .formats import ANNOTATION_FORMATS as ANNOTATION_FORMATS
from .formats import read_annotations as read_annotations
from .videos import Unusable as Unusable
from .videos import read_segment as read_segment
from .videos import survey as survey
