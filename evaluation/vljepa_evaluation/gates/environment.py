"""What decides the last bits of a result: the engine with its version and device, and the kind of CPU."""

from __future__ import annotations

import hashlib
import platform
from dataclasses import dataclass
from pathlib import Path

from vljepa_runtime.engines import Engine, describe
from vljepa_runtime.engines.session_options import has_whole_sums
from vljepa_runtime.files.values import Name, Text

__all__ = ["Environment"]

CPU_INFO = Path("/proc/cpuinfo")
KINDS = ("model name", "flags", "Features", "CPU implementer", "CPU part")
X86 = ("x86_64", "amd64", "i386", "i686")
EXACT_PRODUCTS = {"avx512_vnni", "avx_vnni"}
EXACT_FAMILY = "onnxruntime"  # its weights are made unsigned where the processor would cut off sums


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Where outputs were made.

    Attributes:
        family: The engine's name.
        engine: The same in full, with version and device.
        cpu: Machine type and a digest of the CPU's model and abilities.
        saturates: Whether sums of two 8-bit products may be cut off, as on x86 without VNNI.
    """

    family: Name
    engine: Text
    cpu: Name
    saturates: bool

    @classmethod
    def of(cls, engine: Engine) -> Environment:
        """Of an engine here, once its graphs are loaded."""
        machine, about = platform.machine() or "unknown", _about_cpu()
        family = engine.name.partition(" ")[0]
        exact = EXACT_PRODUCTS & set(about.get("flags", "").split()) or (
            family.startswith(EXACT_FAMILY) and has_whole_sums()
        )
        return cls(
            family=family,
            engine=describe(engine),
            cpu=f"{machine} {hashlib.sha256(repr(about).encode()).hexdigest()[:12]}",
            saturates=machine.lower() in X86 and not exact,
        )


def _about_cpu() -> dict[str, str]:
    """What the first core says of itself; where there is no such file, what the platform calls it."""
    try:
        core = CPU_INFO.read_text(encoding="utf-8", errors="replace").partition("\n\n")[0]
    except OSError:
        return {"model name": platform.processor()}
    pairs = (line.partition(":") for line in core.splitlines())
    said = {key.strip(): " ".join(value.split()) for key, _, value in pairs}
    return {key: said[key] for key in KINDS if key in said}
