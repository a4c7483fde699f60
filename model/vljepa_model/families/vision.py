"""Which family a folder or file of vision weights is of."""

from __future__ import annotations

from pathlib import Path

from vljepa_model.config import XEncoderConfig
from vljepa_model.families.conversion import Converters
from vljepa_model.families.vjepa2 import open_vjepa2
from vljepa_model.families.vjepa21 import open_vjepa21
from vljepa_model.tensor_files import TensorFiles

__all__ = ["crop_offset", "open_vision"]


def open_vision(
    place: str | Path, *, frames: int, size: int | None = None
) -> tuple[XEncoderConfig, TensorFiles, Converters]:
    """Open vision weights: a Hugging Face folder of V-JEPA 2, or the authors' V-JEPA 2.1 file.

    Raises:
        CheckpointError: it is neither.
    """
    read = open_vjepa21 if Path(place).is_file() else open_vjepa2
    return read(place, frames=frames, size=size)


def crop_offset(place: str | Path) -> str:
    """Where the family's own preprocessing begins a centre crop with an odd margin; see `Preprocess.crop_offset`.

    The processor that transformers has for V-JEPA 2 cuts the half off, the authors' own transforms round it.
    """
    return "nearest" if Path(place).is_file() else "floor"
