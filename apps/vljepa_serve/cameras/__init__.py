"""Cameras that run side by side through one model, and come and go while they do.

>>> import vljepa_runtime as vj
>>> from vljepa_serve.cameras import Camera, Fleet, stats_json
>>> from vljepa_serve.config import CameraConfig, Config
>>> from vljepa_serve.hub import Hub
>>> with Fleet(vj.load("tiny"), Hub(), log=None) as fleet:
...     fleet.start(Config(camera=[CameraConfig(id="door", name="Door", source="clip.mp4", on=False)]))
...     door: Camera = fleet.camera("door")
...     door.state, door.sentence(None), stats_json(fleet.stats("door"), rate=door.rate)
('off', 'Switched off.', None)
"""

from vljepa_serve.cameras.camera import Camera, CameraState, stats_json
from vljepa_serve.cameras.fleet import Fleet

__all__ = ["Camera", "CameraState", "Fleet", "stats_json"]
