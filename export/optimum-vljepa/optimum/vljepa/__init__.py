"""V-JEPA 2 for Optimum's ONNX exporter; importing this registers it.

    optimum-cli export onnx --model VJEPA2_FOLDER --task feature-extraction OUT

writes the graph that a vljepa-edge bundle has for its X-encoder, and Optimum compares it with transformers' own layers.
"""

from optimum.exporters.tasks import TasksManager
from optimum.vljepa.vjepa2 import VJEPA2OnnxConfig

__all__ = ["VJEPA2OnnxConfig"]

TasksManager.create_register("onnx", overwrite_existing=True)("vjepa2", "feature-extraction")(
    VJEPA2OnnxConfig
)
