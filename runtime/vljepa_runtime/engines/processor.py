"""What the processor says of itself, and what engines must know of it."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path

__all__ = ["abilities", "cuts_off_sums", "description", "has_bf16"]

CPU_INFO = Path("/proc/cpuinfo")
KINDS = ("model name", "flags", "Features", "CPU implementer", "CPU part")
X86 = ("x86_64", "amd64", "i386", "i686")
BF16_PRODUCTS = {"amx_bf16", "avx512_bf16", "bf16"}
EXACT_PRODUCTS = {"avx512_vnni", "avx_vnni"}


def description() -> Mapping[str, str]:
    """What the first core says of itself; where there is no such file, what the platform calls it."""
    try:
        core = CPU_INFO.read_text(encoding="utf-8", errors="replace").partition("\n\n")[0]
    except OSError:
        return {"model name": platform.processor()}
    pairs = (line.partition(":") for line in core.splitlines())
    said = {key.strip(): " ".join(value.split()) for key, _, value in pairs}
    return {key: said[key] for key in KINDS if key in said}


def abilities() -> frozenset[str]:
    """Sets of instructions as Linux names them, such as `avx2`; empty where the system does not tell."""
    about = description()
    return frozenset(f"{about.get('flags', '')} {about.get('Features', '')}".split())


def cuts_off_sums() -> bool:
    """Whether the fast way to add two 8-bit products cuts off what does not fit into 16 bits: x86 without VNNI."""
    known = abilities()
    return platform.machine().lower() in X86 and bool(known) and not EXACT_PRODUCTS & known


def has_bf16() -> bool:
    """Whether the processor multiplies bfloat16 by itself; True where the system does not tell."""
    known = abilities()
    return not known or bool(BF16_PRODUCTS & known)
