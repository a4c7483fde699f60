"""A clock that is wrong for a while lets nothing go, and one that was put right is believed in the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

import vljepa_runtime as vj
from vljepa_log import LogWriter, Retention, RetentionClock, apply_retention, writer

DAY_S = 86_400.0
NOON = 1_800_000_000.0
MONTH_S = 30 * DAY_S


@dataclass
class Device:
    """A wall clock that may be wrong beside a time that nobody sets."""

    keep_s: float = MONTH_S
    true: float = NOON
    error_s: float = 0.0
    file: Path | None = None
    clock: RetentionClock = field(init=False)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self, *, off_s: float = 0.0) -> None:
        """Cut the power, and give it again."""
        newest = None if off_s == 0 else self.true
        self.true += off_s
        self.clock = RetentionClock(
            keep_s=self.keep_s,
            newest=newest,
            file=self.file,
            wall=lambda: self.true + self.error_s,
            steady=lambda: self.true,
        )

    def ahead_s(self, after_s: float = 0.0) -> float:
        """How far the clock is ahead of what is true, so much later."""
        self.true += after_s
        return self.clock.now() - self.true


def test_a_jump_ahead_counts_when_it_has_stood_for_a_week() -> None:
    device = Device(error_s=0.0)
    device.error_s = 365 * DAY_S
    assert [device.ahead_s(3 * DAY_S) for _ in range(3)] == [0, 0, 0]
    assert device.ahead_s(DAY_S) == 365 * DAY_S


def test_what_is_kept_for_an_hour_waits_for_an_hour() -> None:
    device = Device(keep_s=3600.0)
    device.error_s = DAY_S
    assert [device.ahead_s(900) for _ in range(6)] == [0, 0, 0, 0, DAY_S, DAY_S]


def test_restarts_neither_shorten_the_wait_nor_begin_it_anew(tmp_path: Path) -> None:
    device = Device(file=tmp_path / "clock.json")
    device.error_s = 365 * DAY_S
    found = []
    for _ in range(8):
        found.append(device.ahead_s(DAY_S))
        device.restart()
    assert found == [0] * 7 + [365 * DAY_S]


@pytest.mark.parametrize(
    "content", [b"", b"{}", b'{"at": 1e999}', b"\xff", b'{"at": "now", "left_s": []}', b"[1]"]
)
def test_a_damaged_file_counts_for_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "clock.json").write_bytes(content)
    assert Device(file=tmp_path / "clock.json").ahead_s(900) == 0


def test_a_device_that_was_off_for_long_lets_go_a_week_later() -> None:
    device = Device()
    device.restart(off_s=2 * MONTH_S)
    assert device.ahead_s(900) == -2 * MONTH_S
    assert device.ahead_s(6 * DAY_S) == -2 * MONTH_S
    assert device.ahead_s(2 * DAY_S) == 0


def test_errors_that_end_within_a_week_are_never_believed(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for _ in range(4):
        device = Device(file=tmp_path / f"{random.integers(1 << 60)}.json")
        for _ in range(20):
            device.error_s = float(random.choice([-1, 1]) * 10 ** random.uniform(6, 9))  # 12 days and more
            for _ in range(random.integers(1, 6)):
                if random.random() < 0.3:
                    device.restart()
                assert device.ahead_s(float(random.uniform(0, DAY_S))) <= 1e-3
            device.error_s = 0.0
            for _ in range(random.integers(1, 4)):
                assert device.ahead_s(900) == pytest.approx(0, abs=1e-3)  # at once


def wait_for(holds: Callable[[], object]) -> None:
    ends = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < ends, "it did not come to hold"
        time.sleep(0.01)


def write_month(place: Path, *, until: float) -> None:
    manifest = vj.Bundle.open("tiny").manifest
    with LogWriter(place, manifest) as log:
        for hour in range(30 * 24):
            at = until - MONTH_S + (hour + 1) * 3600.0
            log.add_window(
                "door", "what?", start_s=hour, end_s=hour + 1, embedding=np.eye(256)[hour % 256], at=at
            )


@pytest.mark.parametrize("jump_s", [0.0, 60 * DAY_S, 3 * 365 * DAY_S], ids=["none", "months", "years"])
def test_a_writer_lets_go_the_same_whatever_time_it_starts_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump_s: float
) -> None:
    monkeypatch.setattr(writer, "UPKEEP_S", 0.01)
    monkeypatch.setattr(writer, "RETENTION_S", 0.0)
    write_month(tmp_path / "LOG", until=NOON)
    began, manifest = time.monotonic(), vj.Bundle.open("tiny").manifest
    retention = Retention(max_age_s=20.6 * DAY_S)
    clock = lambda: NOON + jump_s + time.monotonic() - began  # noqa: E731
    with LogWriter(tmp_path / "LOG", manifest, retention=retention, clock=clock) as log:
        log.add_window("door", "what?", start_s=720, end_s=721, embedding=np.eye(256)[0])  # wakes it
        wait_for(lambda: sum(each.windows for each in log.store.held()) < 720)
        time.sleep(0.1)  # it would let go more at its next looks
        assert sum(each.windows for each in log.store.held()) == 495


def test_a_log_that_is_too_large_loses_little_where_its_time_has_jumped(tmp_path: Path) -> None:
    write_month(tmp_path / "LOG", until=NOON)
    manifest = vj.Bundle.open("tiny").manifest
    with LogWriter(tmp_path / "LOG", manifest) as log:
        for hour in range(24):
            at = NOON + 70 * 365 * DAY_S + hour * 3600.0
            log.add_window(
                "door", "what?", start_s=720 + hour, end_s=721 + hour, embedding=np.eye(256)[0], at=at
            )
        log.flush()
        most = int(0.9 * log.store.bytes())
        freed = apply_retention(log.store, Retention(max_bytes=most), now=NOON)
        assert log.store.bytes() <= most
        assert 0 < freed.windows <= 0.3 * 744


def test_a_retention_that_is_set_later_counts_from_then_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "UPKEEP_S", 0.01)
    write_month(tmp_path / "LOG", until=NOON)
    manifest = vj.Bundle.open("tiny").manifest
    with LogWriter(tmp_path / "LOG", manifest, clock=lambda: NOON) as log:
        for days in (20.6, 10.6):
            log.set_retention(Retention(max_age_s=days * DAY_S))
            kept = int(24 * days) + 1
            wait_for(lambda kept=kept: sum(each.windows for each in log.store.held()) == kept)
        log.set_retention(None)
        log.add_window("door", "what?", start_s=720, end_s=721, embedding=np.eye(256)[0], at=NOON + 1)
        log.flush()
        time.sleep(0.05)
        assert sum(each.windows for each in log.store.held()) == kept + 1
