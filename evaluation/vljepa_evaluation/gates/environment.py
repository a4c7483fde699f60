"""What decides the last bits of a result: the engine with its version and device, and the kind of CPU."""

from __future__ import annotations

import hashlib
import platform
from dataclasses import dataclass

from vljepa_runtime.engines import Engine, describe
from vljepa_runtime.engines.processor import description
from vljepa_runtime.engines.session_options import sums_are_cut_off
from vljepa_runtime.files.values import Name, Text

__all__ = ["Environment"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Where outputs were made.

    Attributes:
        family: The engine's name.
        engine: The same in full, with version and device.
        cpu: Machine type and a digest of the CPU's model and abilities.
        saturates: Whether sums of two 8-bit products may be cut off: x86 without VNNI, an old ONNX Runtime.
    """

    family: Name
    engine: Text
    cpu: Name
    saturates: bool

    @classmethod
    def of(cls, engine: Engine) -> Environment:
        """Of an engine here, once its graphs are loaded."""
        machine, about = platform.machine() or "unknown", description()
        family = engine.name.partition(" ")[0]
        return cls(
            family=family,
            engine=describe(engine),
            cpu=f"{machine} {hashlib.sha256(repr(about).encode()).hexdigest()[:12]}",
            saturates=family == "onnxruntime:cpu" and sums_are_cut_off(),
        )
