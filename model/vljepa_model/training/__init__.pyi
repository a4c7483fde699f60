from .recipe import Recipe as Recipe
from .trainer import Progress as Progress
from .trainer import extend as extend
from .trainer import train as train
