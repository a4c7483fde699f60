"""The configuration: what it may say (`records.py`), and the file that says it (`file.py`).

>>> from vljepa_serve.config import AlertConfig, LogConfig, ModelConfig, Receiver, SelectConfig
>>> from vljepa_serve.config import ServerConfig, StatesConfig, is_slug
>>> alert = AlertConfig(id="fall", name="A fall", query="a ball falls", threshold=0.6, cameras=("door",))
>>> alert.rule().text, alert.watches("door"), alert.watches("yard")
('a ball falls', True, False)
>>> receiver: Receiver = "mqtt"
>>> alert.tells(receiver)
True
>>> StatesConfig(id="gate", name="Gate", file="states/gate.json").watches("door")
True
>>> ServerConfig().host, ModelConfig().stride_s, LogConfig().video_hours, is_slug("Front Door")
('127.0.0.1', 1.0, 24.0, False)
>>> from vljepa_serve.config import ThermalConfig
>>> ThermalConfig().slowest
8
>>> SelectConfig(threshold=0.05).policy().threshold
0.05
"""

from vljepa_serve.config.entries import AlertConfig, CameraConfig, Receiver, StatesConfig
from vljepa_serve.config.file import ConfigFile, read_config
from vljepa_serve.config.ids import free_id, is_slug, name_of
from vljepa_serve.config.records import Config
from vljepa_serve.config.sections import LogConfig, ModelConfig, SelectConfig, ServerConfig, ThermalConfig

__all__ = [
    "AlertConfig",
    "CameraConfig",
    "Config",
    "ConfigFile",
    "LogConfig",
    "ModelConfig",
    "Receiver",
    "SelectConfig",
    "ServerConfig",
    "StatesConfig",
    "ThermalConfig",
    "free_id",
    "is_slug",
    "name_of",
    "read_config",
]
