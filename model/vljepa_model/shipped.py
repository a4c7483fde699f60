"""Where a checkpoint lies: at a path, or in the project's source under its name. Knows no torch.

The wheel is for devices, which never read a checkpoint, and leaves those of the project out: they are two thirds of it.
"""

from __future__ import annotations

from pathlib import Path

from vljepa_model.errors import CheckpointError
from vljepa_runtime.suggestions import did_you_mean

__all__ = ["checkpoint_folder"]

SHIPPED = Path(__file__).parent / "checkpoints"
WEIGHTS = {"tiny": "8f03281465cab7444c1c06fb013162ff2be4f817d1d0f731a8a325d48463cbf0"}
"""SHA-256 of `model.safetensors` of each shipped checkpoint, to know it by where the source has to be fetched."""


def checkpoint_folder(name: str | Path = "tiny") -> Path:
    """A checkpoint's folder from its path or shipped name; the latter needs a checkout, which the wheel is not.

    Raises:
        CheckpointError: there is neither.
    """
    found = Path(name)
    if (found / "config.json").is_file():
        return found
    if str(name) in WEIGHTS:  # any other folder of that name is in nobody's way
        return _shipped(str(name))
    what = "is not a checkpoint (it has no config.json)" if found.exists() else "does not exist"
    raise CheckpointError(
        f"{found} {what}{did_you_mean(str(name), WEIGHTS, lead=': ')}; expected a folder written by `vljepa train`, "
        f"or a shipped checkpoint ({', '.join(WEIGHTS)})"
    )


def _shipped(name: str) -> Path:
    folder = SHIPPED / name
    if (folder / "config.json").is_file():
        return folder
    raise CheckpointError(
        f"the checkpoint {name} is not in the installed wheel: clone the project, or unpack its source distribution, "
        f"and pass its folder model/vljepa_model/checkpoints/{name} "
        f"(model.safetensors there has sha256 {WEIGHTS[name]})"
    )
