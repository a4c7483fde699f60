"""A hot device does less: what is read of its sensors, when the rate is halved and given back, what is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from serving import camera_toml, running, wait_for

import vljepa_runtime as vj
from vljepa_serve import service as serving_service
from vljepa_serve.config import ThermalConfig, read_config
from vljepa_serve.errors import ConfigError
from vljepa_serve.thermal import BACK_S, HALVE_S, Heat, Throttle, read_heat

CONFIG = ThermalConfig()


class System:
    """A made-up `/sys`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, path: str, text: object) -> None:
        """Write one of its files."""
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f"{text}\n")

    def zone(
        self, number: int, degrees: float, *, passive: float | None = None, critical: float = 105
    ) -> None:
        """A sensor, with the points at which Linux does something."""
        folder = f"class/thermal/thermal_zone{number}"
        self.put(f"{folder}/temp", round(degrees * 1000))
        points = [("critical", critical), *([] if passive is None else [("passive", passive)])]
        for index, (kind, at) in enumerate(points):
            self.put(f"{folder}/trip_point_{index}_type", kind)
            self.put(f"{folder}/trip_point_{index}_temp", round(at * 1000))


@pytest.fixture
def system(tmp_path: Path) -> System:
    return System(tmp_path / "sys")


def test_each_sensor_has_the_limit_that_linux_says_of_it(system: System) -> None:
    assert read_heat(system=system.root) == Heat()  # nothing there, nothing done
    system.zone(0, 90)  # it never slows anything down
    assert read_heat(system=system.root) == Heat()
    system.zone(1, 70, passive=95)
    system.zone(2, 60, passive=70)
    assert read_heat(system=system.root) == Heat(60.0, 5.0)
    assert read_heat(75, system=system.root) == Heat(90.0, -15.0)
    system.put("class/thermal/thermal_zone2/temp", "nonsense")
    system.put("class/thermal/thermal_zone3/temp", -273000)
    assert read_heat(system=system.root) == Heat(70.0, 20.0)


def test_a_jetson_and_a_raspberry_pi_say_themselves_that_they_slow_down(system: System) -> None:
    for number, (kind, state) in enumerate(
        [("pwm-fan", 3), ("cpu-throttle-alert", 0), ("gpu-throttle-alert", 1)]
    ):
        system.put(f"class/thermal/cooling_device{number}/type", kind)
        system.put(f"class/thermal/cooling_device{number}/cur_state", state)
    heat = read_heat(system=system.root)
    assert heat.alerts == ("gpu-throttle-alert",)
    assert heat.is_hot
    assert not heat.is_cool(5)
    flags = "devices/platform/soc/soc:firmware/get_throttled"
    for value, is_told in [
        ("0", False),
        ("50000", False),
        ("1", False),
        ("80008", True),
        ("4", True),
        ("", False),
    ]:
        system.put(flags, value)
        assert (len(read_heat(system=system.root).alerts) == 2) is is_told, value


def test_the_rate_is_halved_by_steps_and_given_back_slowly() -> None:
    now = [1000.0]
    throttle, hot, warm, cool = Throttle(lambda: now[0]), Heat(84, -4), Heat(77, 3), Heat(60, 20)

    def after(seconds: float, heat: Heat, config: ThermalConfig = CONFIG) -> tuple[int, bool]:
        now[0] += seconds
        told = throttle.step(heat, config)
        return throttle.every, bool(told)

    assert after(0, cool) == (1, False)
    assert after(1, hot) == (2, True)
    assert after(HALVE_S - 1, hot) == (2, False)  # the step has to show first
    assert [after(HALVE_S, hot) for _ in range(4)] == [(4, True), (8, True), (8, False), (8, False)]
    assert after(BACK_S * 9, warm) == (8, False)  # between the limits nothing changes
    assert after(BACK_S - 1, cool) == (8, False)
    assert after(1, cool) == (4, True)
    assert after(BACK_S - 1, cool) == (4, False)
    assert after(2, hot) == (8, True)
    assert [after(BACK_S, cool)[0] for _ in range(4)] == [4, 2, 1, 1]
    assert after(BACK_S, hot) == (2, True)
    now[0] += 1
    assert throttle.step(hot, ThermalConfig(on=False)) == "no longer asked for: every window is looked at"
    assert after(HALVE_S, hot, ThermalConfig(slowest=3)) == (2, True)
    assert after(HALVE_S, hot, ThermalConfig(slowest=3)) == (3, True)
    assert after(1, hot, ThermalConfig(slowest=1)) == (1, True)


@pytest.mark.parametrize(
    "line", ["limit_c = 300", "limit_c = nan", "slowest = 0", "back_c = -1", "limit = 80"]
)
def test_a_configuration_that_cannot_be(line: str) -> None:
    with pytest.raises(ConfigError, match="thermal"):
        read_config(f"[thermal]\n{line}")


def test_a_hot_device_looks_at_fewer_windows_and_tells_so(
    model: vj.Model, recording: Path, tmp_path: Path, system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving_service, "HEAT_EVERY", 1)
    system.zone(0, 60, passive=90)
    text = camera_toml("door", recording, loop=True) + "[thermal]\nslowest = 2\n"
    with running(model, tmp_path, text, system=system.root) as server:
        wait_for(lambda: server.get("/api/state")["cameras"][0]["now"])
        assert server.get("/api/state")["thermal"] == {
            "every": 1, "temperature_c": 60.0, "margin_c": 25.0, "alerts": []
        }  # fmt: skip
        system.zone(0, 88, passive=90)
        wait_for(lambda: server.get("/api/state")["thermal"]["every"] == 2)
        wait_for(lambda: server.get("/api/state")["cameras"][0]["stats"]["left_out"] > 0)
        texts = [event["text"] for event in server.get("/api/state")["events"] if event["kind"] == "status"]
        assert "warning: slowed: 88 °C is 3 °C over the limit: 1 of 2 windows is looked at" in texts
        assert server.get("/api/state")["problems"] == [
            "slowed: 88 °C is 3 °C over the limit: 1 of 2 windows is looked at."
        ]
        assert "vljepa_thermal_every 2.0" in server.client.get("/metrics").text
        assert server.client.patch("/api/config", json={"thermal": {"on": False}}).status_code == 200
        wait_for(lambda: server.get("/api/state")["thermal"]["every"] == 1)
        wait_for(lambda: any("restored: " in event["text"] for event in server.get("/api/state")["events"]))
        assert server.get("/api/state")["problems"] == []
