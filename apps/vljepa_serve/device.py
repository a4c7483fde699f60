"""How the device fares: memory, processor, temperature, power, disk. What cannot be read is None, never a guess."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from vljepa_serve.power import power_w

if TYPE_CHECKING:
    from vljepa_serve.service import Service

__all__ = ["Device", "temperature_c"]

SIZES_S = 60.0  # between looks at how much is kept
DAY_S = 86_400.0
GRAPHS = {"x_encoder": "encode", "predictor": "predict", "y_decoder_step": "decode"}
HWMON = Path("/sys/class/hwmon")
THERMAL = Path("/sys/class/thermal")


class Device:
    """Reads what the system tells.

    Args:
        folder: Where what is kept lies.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process = psutil.Process()
        self._process.cpu_percent()  # the first call begins
        self._sized_s = float("-inf")
        self._size = self._first_size = 0
        self._since_s = time.monotonic()

    def memory_mb(self) -> float:
        """Resident memory of this process and of those that it has begun."""
        total = self._process.memory_info().rss
        for each in self._process.children(recursive=True):
            with suppress(psutil.Error):  # it has ended meanwhile
                total += each.memory_info().rss
        return float(total / 1e6)

    def cpu_share(self) -> float:
        """Share of all cores since the last call, 0 to 1."""
        return float(self._process.cpu_percent()) / 100 / (psutil.cpu_count() or 1)

    def free_bytes(self) -> int:
        """Of the disk with what is kept."""
        return shutil.disk_usage(self._nearest()).free

    def view(self, service: Service) -> dict[str, Any]:
        """What pages show of it all."""
        stats = service.stats()
        return {
            "engines": _engines(service, stats.values()),
            "memory_mb": round(self.memory_mb(), 1),
            "cpu_share": round(self.cpu_share(), 4),
            "temperature_c": temperature_c(),
            "power_w": power_w(),
            "disk": self._disk(),
            "sinks": service.sinks.states(),
            "cameras": stats,
            "uptime_s": round(time.time() - service.started, 1),
            "problems": service.problems,
        }

    def _disk(self) -> dict[str, Any]:
        usage = shutil.disk_usage(self._nearest())
        now = time.monotonic()
        if now - self._sized_s > SIZES_S:
            self._size = sum(_size(path) for path in self._folder.rglob("*"))
            self._first_size = self._first_size or self._size
            self._sized_s = now
        hours = (now - self._since_s) / 3600
        grown = max(0, self._size - self._first_size)
        return {
            "used_gb": round(usage.used / 1e9, 3),
            "free_gb": round(usage.free / 1e9, 3),
            "log_gb": round(self._size / 1e9, 4),
            "per_day_gb": round(grown / 1e9 / hours * 24, 3) if hours > 0.25 else None,
        }

    def _nearest(self) -> Path:
        place = self._folder.absolute()
        while not place.exists() and place != place.parent:
            place = place.parent
        return place


def temperature_c() -> float | None:
    """The hottest sensor of the processor or board."""
    found = [_number(path, 1000) for path in THERMAL.glob("thermal_zone*/temp")]
    found += [_number(path, 1000) for path in HWMON.glob("hwmon*/temp*_input")]
    plausible = [value for value in found if value is not None and 0 < value < 130]
    return round(max(plausible), 1) if plausible else None


def _engines(service: Service, stats: Iterable[dict[str, Any] | None]) -> list[dict[str, Any]]:
    model = service.model
    running = [each for each in stats if each is not None]
    rows = []
    for graph in model.bundle.manifest.graphs:
        stage = GRAPHS.get(graph)
        times = [each["latency"][stage] for each in running if stage and each["latency"][stage]["count"]]
        rows.append(
            {
                "graph": graph,
                "engine": model.engine_name,
                "precision": model.bundle.manifest.precision_text,
                "p50_ms": _mean([each["p50_ms"] for each in times]),
                "p95_ms": _mean([each["p95_ms"] for each in times]),
                "fallback": "fall-back" in model.engine_text or "fallback" in model.engine_text,
            }
        )
    return rows


def _mean(values: list[float]) -> float | None:
    return round(sum(values) / len(values), 2) if values else None


def _number(path: Path, divisor: float) -> float | None:
    try:
        return int(path.read_text()) / divisor
    except (OSError, ValueError):
        return None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0
