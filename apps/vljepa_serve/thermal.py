"""A device that gets hot does less: what its sensors say, and how many windows are left out for it.

Linux tells temperatures and the points at which it slows down (`/sys/class/thermal`); a Jetson also that it slows down
now (`*-throttle-alert`), and a Raspberry Pi the same by its firmware (`get_throttled`). What is not there is not asked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from vljepa_serve.config import ThermalConfig

__all__ = ["Heat", "Throttle", "read_heat"]

SYSTEM = Path("/sys")
BEFORE_C = 5.0  # less than the system waits for
PLAUSIBLE_C = 30.0, 130.0
PASSIVE = "passive"  # the kind of a point from which on Linux slows a processor down
FIRMWARE = 0x2 | 0x4 | 0x8  # capped, throttled, soft limit: now, as `vcgencmd get_throttled` has them
HALVE_S = 15.0  # what one step gets to show
BACK_S = 60.0  # cool for so long, before it is tried with more


@dataclass(frozen=True, slots=True)
class Heat:
    """What the sensors say.

    Attributes:
        temperature_c: Of the sensor that is nearest to its limit; None where no sensor has one.
        margin_c: How far below its limit that is; below 0 it is over.
        alerts: What slows the device down at the moment.
    """

    temperature_c: float | None = None
    margin_c: float | None = None
    alerts: tuple[str, ...] = ()

    @property
    def is_hot(self) -> bool:
        """Whether less should be done."""
        return bool(self.alerts) or (self.margin_c is not None and self.margin_c <= 0)

    def is_cool(self, back_c: float) -> bool:
        """Whether more can be done."""
        return not self.alerts and (self.margin_c is None or self.margin_c >= back_c)


def read_heat(limit_c: float | None = None, *, system: Path = SYSTEM) -> Heat:
    """Ask the sensors.

    Args:
        limit_c: Of every sensor; None takes what the system says of each.
        system: Where `/sys` is.

    Examples:
        >>> from pathlib import Path
        >>> from vljepa_serve.thermal import Heat, read_heat
        >>> read_heat(system=Path("no-such-system"))
        Heat(temperature_c=None, margin_c=None, alerts=())
        >>> Heat(84.0, -4.0).is_hot, Heat(77.0, 3.0).is_cool(5.0)
        (True, False)
    """
    zones = [*_zones(system / "class/thermal", limit_c)]
    nearest = min(zones, key=lambda zone: zone[1] - zone[0], default=None)
    alerts = (*_jetson(system / "class/thermal"), *_firmware(system))
    if nearest is None:
        return Heat(alerts=alerts)
    return Heat(nearest[0], round(nearest[1] - nearest[0], 1), alerts)


class Throttle:
    """Halves how many windows are looked at while it is hot, and goes back slowly.

    Args:
        clock: Seconds that go on.

    Attributes:
        every: Every so many-th window is looked at now.

    Examples:
        >>> from vljepa_serve.config import ThermalConfig
        >>> from vljepa_serve.thermal import Heat, Throttle
        >>> throttle = Throttle()
        >>> throttle.step(Heat(84.0, -4.0), ThermalConfig())
        'slowed: 84 °C is 4 °C over the limit: 1 of 2 windows is looked at'
        >>> throttle.every
        2
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.every = 1
        self._clock = clock
        self._changed_s = self._hot_s = float("-inf")

    def step(self, heat: Heat, config: ThermalConfig) -> str:
        """Look at the heat; what is to be told if `every` changed, else nothing."""
        now, before = self._clock(), self.every
        if not heat.is_cool(config.back_c):
            self._hot_s = now
        if not config.on:
            self.every = 1
        elif heat.is_hot and now - self._changed_s >= HALVE_S:
            self.every = min(self.every * 2, config.slowest)
        elif now - max(self._hot_s, self._changed_s) >= BACK_S:
            self.every = max(1, self.every // 2)
        self.every = max(1, min(self.every, config.slowest))
        if self.every == before:
            return ""
        self._changed_s = now
        return self._sentence(heat, is_cool=heat.is_cool(config.back_c))

    def _sentence(self, heat: Heat, *, is_cool: bool) -> str:
        degrees = "" if heat.temperature_c is None else f"{heat.temperature_c:.0f} °C"
        if self.every == 1:
            why = f"cool again{f' with {degrees}' if degrees else ''}" if is_cool else "no longer asked for"
            return f"{why}: every window is looked at"
        windows = f"1 of {self.every} windows is looked at"
        if heat.is_hot and heat.alerts:
            return f"slowed: {', '.join(heat.alerts)}{f' at {degrees}' if degrees else ''}: {windows}"
        if heat.is_hot and heat.margin_c is not None:
            return f"slowed: {degrees} is {-heat.margin_c:.0f} °C over the limit: {windows}"
        return f"cooler{f' with {degrees}' if degrees else ''}: {windows}"


def _zones(folder: Path, limit_c: float | None) -> Iterator[tuple[float, float]]:
    """Temperature and limit of each sensor that has one."""
    for zone in folder.glob("thermal_zone*"):
        temperature = _degrees(zone / "temp")
        limit = limit_c if limit_c is not None else _slows_at(zone)
        if temperature is not None and limit is not None:
            yield temperature, limit


def _slows_at(zone: Path) -> float | None:
    points = []
    for kind in zone.glob("trip_point_*_type"):
        if _text(kind) == PASSIVE:
            points.append(_degrees(kind.with_name(kind.name.replace("_type", "_temp"))))
    found = [point for point in points if point is not None]
    return min(found) - BEFORE_C if found else None


def _jetson(folder: Path) -> Iterator[str]:
    for device in sorted(folder.glob("cooling_device*")):
        if _text(device / "type").endswith("throttle-alert") and _text(device / "cur_state") not in ("", "0"):
            yield _text(device / "type")


def _firmware(system: Path) -> Iterator[str]:
    for pattern in ("devices/platform/*firmware", "devices/platform/*/*firmware"):
        for path in system.glob(f"{pattern}/get_throttled"):
            with suppress(ValueError):
                flags = int(_text(path), 16)
                if flags & FIRMWARE:
                    yield f"the firmware slows the processor ({flags & 0xF:#x})"


def _degrees(path: Path) -> float | None:
    try:
        found = int(_text(path)) / 1000
    except ValueError:
        return None
    return found if PLAUSIBLE_C[0] <= found <= PLAUSIBLE_C[1] else None


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
