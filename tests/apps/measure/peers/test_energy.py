"""Joules come from counters that wrap, from power meters, or not at all."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import pytest

from vljepa_apps.measure.peers.energy import joules_of
from vljepa_serve.power import power_w

RANGE = 1_000_000


def counter(folder: Path, name: str, micro_joules: int) -> Path:
    """A zone as the kernel shows it."""
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{name}\n")
    (folder / "max_energy_range_uj").write_text(f"{RANGE}\n")
    (folder / "energy_uj").write_text(f"{micro_joules}\n")
    return folder / "energy_uj"


def board(hwmon: Path, **values: str) -> Path:
    """One chip with what it shows."""
    chip = hwmon / "hwmon0"
    chip.mkdir(parents=True)
    for name, value in values.items():
        (chip / name).write_text(f"{value}\n")
    return hwmon


def test_packages_add_up_over_a_wrap_and_what_is_inside_them_counts_once(tmp_path: Path) -> None:
    first = counter(tmp_path / "intel-rapl:0", "package-0", RANGE - 100_000)
    second = counter(tmp_path / "intel-rapl:1", "package-1", 5)
    inside = counter(tmp_path / "intel-rapl:0:0", "core", 0)

    def call() -> None:
        first.write_text("300000")  # began anew: 400,000 more
        second.write_text("100005")
        inside.write_text("999999")

    assert joules_of(call, seconds=0, powercap=tmp_path, watts=lambda: None) == pytest.approx(0.5)


def test_a_power_meter_is_looked_at_while_the_call_runs(tmp_path: Path) -> None:
    hwmon = board(tmp_path, power1_input="7000000")
    begun, ended = [], []

    def call() -> None:
        begun.append(time.perf_counter())
        sum(range(10_000))
        ended.append(time.perf_counter())

    found = joules_of(call, seconds=0.2, powercap=tmp_path / "none", watts=partial(power_w, hwmon))
    assert found is not None
    assert found * len(begun) == pytest.approx(7 * (ended[-1] - begun[0]), rel=0.05)


@pytest.mark.parametrize("content", ["", "no number", None], ids=["empty", "text", "missing"])
def test_what_cannot_be_read_is_not_guessed(tmp_path: Path, content: str | None) -> None:
    path = counter(tmp_path / "intel-rapl:0", "package-0", 1)
    path.unlink() if content is None else path.write_text(content)
    assert joules_of(lambda: None, seconds=0, powercap=tmp_path, watts=lambda: None) is None


@pytest.mark.parametrize(
    ("values", "watts"),
    [
        ({"power1_input": "12340000"}, 12.34),
        ({"name": "ina3221", "in1_input": "19000", "curr1_input": "500"}, 9.5),
        ({"name": "other", "in1_input": "19000", "curr1_input": "500"}, None),
        ({"power1_input": "0"}, None),
    ],
    ids=["meter", "jetson", "another chip", "off"],
)
def test_watts_of_a_board(tmp_path: Path, values: dict[str, str], watts: float | None) -> None:
    assert power_w(board(tmp_path, **values)) == watts
