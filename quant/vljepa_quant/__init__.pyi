from .errors import QuantError as QuantError
from .precisions import PRECISIONS as PRECISIONS
from .precisions import Precision as Precision
from .precisions import Weights as Weights
from .precisions import limits_for as limits_for
from .precisions import precisions_of as precisions_of
