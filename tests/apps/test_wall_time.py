"""Days and hours where the clocks hang: 23, 24 and 25 hours, two half past two, and what people type."""

from __future__ import annotations

import argparse
from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from vljepa_apps import wall_time
from vljepa_log.days import day_of, day_span, shown

BERLIN, HAVANA, BEIRUT = (ZoneInfo(name) for name in ("Europe/Berlin", "America/Havana", "Asia/Beirut"))


@pytest.mark.parametrize(
    ("day", "zone", "begin", "hours"),
    [
        (date(2026, 11, 27), BERLIN, "2026-11-26T23:00Z", 24),
        (date(2026, 3, 29), BERLIN, "2026-03-28T23:00Z", 23),
        (date(2026, 10, 25), BERLIN, "2026-10-24T22:00Z", 25),
        (date(2024, 11, 3), HAVANA, "2024-11-03T04:00Z", 25),  # midnight comes twice
        (date(2024, 3, 31), BEIRUT, "2024-03-30T22:00Z", 23),  # midnight does not come
        (date(2026, 11, 27), timezone.utc, "2026-11-27T00:00Z", 24),
    ],
    ids=["usual", "spring", "autumn", "twice midnight", "no midnight", "UTC"],
)
def test_a_day_is_as_long_as_its_clocks_say(day: date, zone: ZoneInfo, begin: str, hours: int) -> None:
    since, until = day_span(day, zone)
    assert since == wall_time.moment(begin)
    assert until - since == hours * 3600
    assert day_span(day + timedelta(days=1), zone)[0] == until
    assert day_of(since, zone) == day_of(until - 1, zone) == day


def test_an_hour_that_comes_twice_is_shown_with_its_offset() -> None:
    first, second = (wall_time.moment(f"2026-10-25T0{hour}:30Z") for hour in (0, 1))
    assert shown(first, BERLIN) == "02:30:00 +0200"
    assert shown(second, BERLIN) == "02:30:00 +0100"
    assert shown(wall_time.moment("2026-11-27T08:00Z"), BERLIN) == "09:00:00"
    assert wall_time.shown_day(first, BERLIN) == "2026-10-25 02:30:00+02:00"


def test_without_a_zone_it_is_this_machines() -> None:
    local = datetime(2026, 11, 27).astimezone().timestamp()
    assert day_span(date(2026, 11, 27), None)[0] == local == wall_time.moment("2026-11-27")
    assert wall_time.day("today") - wall_time.day("yesterday") == timedelta(days=1)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("12.5", (12.5, False)), ("0", (0.0, False)), ("1970-01-01T00:01Z", (60.0, True))],
)
def test_a_time_of_the_stream_or_of_the_clock(typed: str, meant: tuple[float, bool]) -> None:
    assert wall_time.stream_or_wall(typed) == meant


@pytest.mark.parametrize("kind", [wall_time.stream_or_wall, wall_time.day, wall_time.zone, wall_time.moment])
@pytest.mark.parametrize("typed", ["", "-3", "nan", "inf", "morgen", "../etc/passwd", "2026-13-01", "9e999"])
def test_what_is_no_time_is_said_in_one_sentence(kind: object, typed: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="expected "):
        kind(typed)  # type: ignore[operator]
