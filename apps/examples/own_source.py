"""A source of one's own: pictures of a sensor that nobody else can open, here a simulated thermal array.

    python apps/examples/own_source.py tiny --seconds 8
    python apps/examples/own_source.py tiny --readings readings.npy     # (T, H, W) degrees, recorded before

Replace `simulated` by what reads yours. Whatever gives arrays (H, W, 3) of uint8 in RGB, and their times, can be a
source.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

import vljepa_runtime as vj

Floats = npt.NDArray[np.floating]
RATE = 8.0  # readings a second
ROOM_C, WARM_C = 18.0, 38.0


class ThermalSource(vj.Source):
    """Readings (H, W) in degrees Celsius as pictures, cold black and warm white."""

    name = "thermal"  # `live = True` where readings that nobody takes are lost; then time_s is the clock's

    def __init__(self, readings: Iterable[Floats]) -> None:
        self._readings = readings

    def frames(self, hints: vj.Hints = vj.EVERY_FRAME) -> Iterator[vj.Frame]:
        """All readings; `hints` would say which of them are wanted at all."""
        for index, reading in enumerate(self._readings):
            grey = np.clip((reading - ROOM_C) / (WARM_C - ROOM_C), 0, 1) * 255
            image = np.repeat(grey.astype(np.uint8)[:, :, None], 3, axis=2)
            yield vj.Frame(image=image, time_s=index / RATE, index=index, duration_s=1 / RATE)

    def close(self) -> None:
        """Let the sensor go; there is none."""


def simulated(seconds: float) -> Iterator[Floats]:
    """Somebody warm walks through a cool room, 24x32."""
    for index in range(round(seconds * RATE)):
        reading = np.full((24, 32), ROOM_C)
        left = index % 24
        reading[8:18, left : left + 6] = WARM_C - 4
        yield reading


def main() -> int:
    """Print what the model says."""
    parser = argparse.ArgumentParser(description="Watch a source of one's own.")
    parser.add_argument("bundle", help="a bundle, or a shipped name")
    parser.add_argument("--readings", help="a .npy file of readings (T, H, W) in degrees Celsius")
    parser.add_argument("--seconds", type=float, default=8.0, help="length of the simulation (default 8)")
    args = parser.parse_args()
    readings = np.load(args.readings) if args.readings else simulated(args.seconds)
    with vj.load(args.bundle).session() as session:
        for event in session.run(ThermalSource(readings)):
            print(f"{event.start_s:.1f} s  {event.kind}: {event.text}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
