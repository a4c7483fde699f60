"""A folder of Hugging Face's: what kind of model it holds, and how that is used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vljepa_runtime.errors import InputError
from vljepa_runtime.files import parse_json

__all__ = ["FAMILIES", "Family", "Folder"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """How one `model_type` of transformers is used.

    Attributes:
        words: Whether it is a token VLM, which generates text; else it is a dual encoder.
        clip: Whether it takes a clip as one input rather than picture by picture.
        padded: Whether texts are always padded to the longest that it takes.
        exported: Whether Optimum can export it.
    """

    words: bool = False
    clip: bool = False
    padded: bool = False
    exported: bool = True


FAMILIES: Mapping[str, Family] = {
    "clip": Family(),
    "siglip": Family(padded=True),  # SigLIP, and SigLIP 2 of one resolution
    "siglip2": Family(
        padded=True, exported=False
    ),  # of any resolution: positions are resized in Python per picture
    "xclip": Family(clip=True),
    "idefics3": Family(words=True),  # SmolVLM too
    "llava": Family(words=True),
}


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that `save_pretrained` wrote.

    Attributes:
        path: Where it lies.
        config: Of its `config.json`.
        family: Its row.
    """

    path: Path
    config: Mapping[str, Any]
    family: Family

    @classmethod
    def of(cls, place: str) -> Folder:
        """Look at a folder.

        Raises:
            InputError: it holds no model, or none of a known family.
        """
        path = Path(place)
        try:
            config = parse_json((path / "config.json").read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(
                f"expected a folder with config.json, as transformers' save_pretrained writes it, got {place}: "
                f"{error.strerror}"
            ) from error
        family = str(config.get("model_type")) if isinstance(config, dict) else ""
        if family not in FAMILIES:
            raise InputError(
                f"expected a model of {', '.join(FAMILIES)} in {place}, got model_type {family!r}"
            )
        return cls(path, config, FAMILIES[family])

    @property
    def size_bytes(self) -> int:
        """Of its weights."""
        return sum(file.stat().st_size for file in self.path.glob("*.safetensors"))
