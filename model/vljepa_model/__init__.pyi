from .config import ModelConfig as ModelConfig
from .errors import CheckpointError as CheckpointError
from .errors import ConfigError as ConfigError
from .shipped import checkpoint_folder as checkpoint_folder
from .vl_jepa import VLJEPA as VLJEPA
