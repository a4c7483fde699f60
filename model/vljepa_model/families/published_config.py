"""A Hugging Face `config.json`, read key by key with clear refusals. Knows no family."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from vljepa_model.errors import CheckpointError
from vljepa_model.tensor_files import read_json
from vljepa_runtime.files.values import shown

__all__ = ["PublishedConfig"]

T = TypeVar("T")
NOTHING: Any = object()
MAX_SIZE = 2**31 - 1  # of any whole number; `ModelConfig` holds each against its own limit


class PublishedConfig:
    """The values of a model folder's config.json."""

    def __init__(self, where: Path, values: dict[str, Any]) -> None:
        self.where, self.values = where, values

    @classmethod
    def read(cls, folder: str | Path) -> PublishedConfig:
        """Read `config.json` of a folder.

        Raises:
            CheckpointError: it is missing or unreadable.
        """
        path = Path(folder) / "config.json"
        return cls(path, read_json(path))

    @property
    def family(self) -> str:
        """Its `model_type`."""
        return self.get("model_type", str, "unknown")

    def get(self, key: str, kind: type[T], default: Any = NOTHING) -> T:
        """One value; whole numbers count as float where a float is asked for.

        Raises:
            CheckpointError: it is missing and has no default, or is of another type.
        """
        value = self.values.get(key)
        if value is None:
            if default is NOTHING:
                raise CheckpointError(f"{self.where} lacks {key!r}: is this the right folder?")
            return default  # type: ignore[no-any-return]
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)  # type: ignore[return-value]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise CheckpointError(f"{self.where}: expected {key} to be {kind.__name__}, got {shown(value)}")
        if isinstance(value, int) and abs(value) > MAX_SIZE:
            raise CheckpointError(
                f"{self.where}: expected {key} to be at most {MAX_SIZE}, got {shown(value)}"
            )
        return value

    def require(self, key: str, allowed: Sequence[Any], default: Any, why: str) -> None:
        """Refuse a setting that our networks cannot follow.

        Raises:
            CheckpointError: the value is none of `allowed`.
        """
        value = self.values.get(key, default)
        if value not in allowed:
            raise CheckpointError(f"{self.where}: {key} = {value!r} is not supported: {why}")

    def require_family(self, allowed: Sequence[str], what: str) -> None:
        """Refuse another model family.

        Raises:
            CheckpointError: naming what it is and what was expected.
        """
        if self.family not in allowed:
            raise CheckpointError(
                f"{self.where.parent} holds a {self.family!r} model: expected {what} ({', '.join(allowed)})"
            )
