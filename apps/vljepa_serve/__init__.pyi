from .app import create_app as create_app
from .config import Config as Config
from .config import ConfigFile as ConfigFile
from .config import read_config as read_config
from .errors import ConfigError as ConfigError
from .errors import ServeError as ServeError
from .service import Service as Service
