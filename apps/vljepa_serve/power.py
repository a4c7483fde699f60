"""What the board takes, as its own sensor says. What cannot be read is None, never a guess."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

__all__ = ["power_w"]

HWMON = Path("/sys/class/hwmon")


def power_w(hwmon: Path = HWMON) -> float | None:
    """Watts, as on Jetson; None where there is no sensor.

    Args:
        hwmon: Where the system shows its sensors.

    Examples:
        >>> from pathlib import Path
        >>> from vljepa_serve.power import power_w
        >>> power_w(Path("no/such/place")) is None
        True
    """
    watts = [_number(path, 1e6) for path in hwmon.glob("hwmon*/power1_input")]
    for volts in hwmon.glob("hwmon*/in1_input"):  # INA3221 of Jetson boards: the first channel is the whole
        with suppress(OSError):
            if "ina3221" in volts.with_name("name").read_text():
                volt, ampere = _number(volts, 1000), _number(volts.with_name("curr1_input"), 1000)
                watts.append(None if volt is None or ampere is None else volt * ampere)
    found = [value for value in watts if value is not None and value > 0]
    return round(max(found), 2) if found else None


def _number(path: Path, scale: float) -> float | None:
    try:
        return int(path.read_text()) / scale
    except (OSError, ValueError):
        return None
