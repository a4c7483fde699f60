from .contest import Contest as Contest
from .contest import LearningCurve as LearningCurve
from .plan import Plan as Plan
from .timing import answer_cells as answer_cells
from .trained import trained as trained
