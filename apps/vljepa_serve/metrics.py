"""The counters of a service as Prometheus reads them. Names cameras by their ids, nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from vljepa_serve.device import temperature_c
from vljepa_serve.power import power_w

if TYPE_CHECKING:
    from vljepa_serve.service import Service

__all__ = ["metrics_text"]

COUNTED = ("windows", "decisions", "decodings", "dropped", "left_out", "reconnects")


def metrics_text(service: Service) -> bytes:
    """All metrics in the text format."""
    registry = CollectorRegistry()
    registry.register(_Counters(service))
    return generate_latest(registry)


class _Counters(Collector):
    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        yield from self._cameras()
        yield from self._process()
        waiting = GaugeMetricFamily("vljepa_sink_waiting", "Events not delivered yet.", labels=["sink"])
        for sink in self._service.sinks.states():
            waiting.add_metric([sink["name"]], sink["waiting"])
        yield waiting

    def _cameras(self) -> Iterator[Metric]:
        stats = self._service.stats()
        for name in COUNTED:
            counter = CounterMetricFamily(
                f"vljepa_{name}", f"{name.title()} of the connection.", labels=["camera"]
            )
            for id, values in stats.items():
                if values is not None:
                    counter.add_metric([id], values[name])
            yield counter
        latency = SummaryMetricFamily("vljepa_stage_seconds", "Time of a stage.", labels=["camera", "stage"])
        for id, values in stats.items():
            for stage, times in (values or {"latency": {}})["latency"].items():
                latency.add_metric([id, stage], times["count"], times["total_ms"] / 1000)
        yield latency
        live = GaugeMetricFamily(
            "vljepa_camera_state", "1 for the state it is in.", labels=["camera", "state"]
        )
        for id, camera in [*self._service.fleet.cameras.items()]:
            live.add_metric([id, camera.state], 1)
        yield live

    def _process(self) -> Iterator[Metric]:
        device, service = self._service.device, self._service
        gauges = {
            "vljepa_memory_bytes": ("Resident memory.", device.memory_mb() * 1e6),
            "vljepa_disk_free_bytes": ("Of the disk with what is kept.", device.free_bytes()),
            "vljepa_pages": ("Pages that listen.", service.pages.used),
            "vljepa_picture_readers": ("Readers of MJPEG.", service.readers.used),
            "vljepa_problems": ("What is wrong now.", len(service.problems)),
            "vljepa_start_time_seconds": ("Since 1970.", service.started),
            "vljepa_temperature_celsius": ("The hottest sensor.", temperature_c()),
            "vljepa_thermal_every": ("One of so many windows is looked at.", service.throttle.every),
            "vljepa_thermal_margin_celsius": ("Below the limit.", service.heat.margin_c),
            "vljepa_power_watts": ("Of the board.", power_w()),
        }
        for name, (text, value) in gauges.items():
            if value is not None:
                yield GaugeMetricFamily(name, text, value=value)
