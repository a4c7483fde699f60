"""The machine that something is measured on: interpreter, system, processor, cores, installed versions."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["commit", "device_facts", "engine_version", "installed", "machine", "power_mode"]

GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
PROFILE = Path("/sys/firmware/acpi/platform_profile")


def machine() -> dict[str, str]:
    """Interpreter, system, processor and the cores that this process may use."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu": _cpu_name(),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
    }


def power_mode(places: Sequence[Path] = (GOVERNOR, PROFILE)) -> str:
    """What the system says of how fast the processor may run: its governor and the profile of the machine.

    Args:
        places: Files that say so.
    """
    said = []
    for place in places:
        try:
            said.append(place.read_text(encoding="utf-8").strip())
        except OSError:
            continue
    return ", ".join(said) or "n/a: the system does not say"


def installed(distribution: str) -> str | None:
    """Version of a distribution, None when it is not there."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def commit() -> str:
    """Of the checkout that runs, short, with a + where files were changed; empty where this is none."""
    here = Path(__file__)
    if not _git(here.parent, "ls-files", here.name):  # a repository around the environment is another's
        return ""
    return _git(here.parent, "describe", "--always", "--dirty=+", "--exclude=*")


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return found.stdout.strip()


def engine_version(engine: str) -> str:
    """Version of the library behind an engine's name, empty where it is not known."""
    family = engine.partition(":")[0]
    return installed(family) or installed(f"{family}-gpu") or ""


def device_facts(engine: str) -> dict[str, str]:
    """What the times of an engine depend on beside the bundle."""
    here = machine()
    version = engine_version(engine)
    facts = {name: here[name] for name in ("cpu", "cores")}
    return facts | {"engine": engine, **({"version": version} if version else {})}


def _cpu_name() -> str:
    """The processor as the kernel names it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = (
                line.partition(":")[2].strip() for line in file if line.startswith(("model name", "Model"))
            )
            return next(names, "") or platform.processor() or "n/a"
    except OSError:
        return platform.processor() or "n/a"
