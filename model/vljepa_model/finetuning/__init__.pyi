from .held_out import HeldOutResults as HeldOutResults
from .held_out import measure_held_out as measure_held_out
from .recipe import FineTuneRecipe as FineTuneRecipe
from .trainer import CacheOptions as CacheOptions
from .trainer import FineTuneProgress as FineTuneProgress
from .trainer import finetune as finetune
