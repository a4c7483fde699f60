"""Where a checkpoint lies: at a path, or in this package under its name. Knows no torch."""

from __future__ import annotations

from pathlib import Path

from vljepa_model.errors import CheckpointError
from vljepa_runtime.suggestions import did_you_mean

__all__ = ["checkpoint_folder"]

SHIPPED = Path(__file__).parent / "checkpoints"


def checkpoint_folder(name: str | Path = "tiny") -> Path:
    """A checkpoint's folder from its path or shipped name.

    Raises:
        CheckpointError: there is neither.
    """
    found = Path(name)
    if (found / "config.json").is_file():
        return found
    shipped = {config.parent.name: config.parent for config in sorted(SHIPPED.glob("*/config.json"))}
    if str(name) in shipped:
        return shipped[str(name)]
    what = "is not a checkpoint (it has no config.json)" if found.exists() else "does not exist"
    names = ", ".join(shipped) or "none"
    raise CheckpointError(
        f"{found} {what}{did_you_mean(str(name), shipped, lead=': ')}; expected a folder written by `vljepa train`, "
        f"or a shipped checkpoint ({names})"
    )
