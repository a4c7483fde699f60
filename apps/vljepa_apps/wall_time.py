"""Days, hours and time zones, as commands read and show them. Knows no log."""

from __future__ import annotations

import argparse
from datetime import date, datetime, timedelta, timezone, tzinfo

__all__ = ["day", "iso", "moment", "shown_day", "stream_or_wall", "zone"]


def moment(value: str) -> float:
    """A time as seconds since 1970, for argparse; without an offset from UTC it is this machine's."""
    try:
        return datetime.fromisoformat(value.replace("Z", "+00:00")).timestamp()
    except (ValueError, OverflowError, OSError):
        raise argparse.ArgumentTypeError(f"expected a time such as 2026-11-27T08:00, got {value!r}") from None


def stream_or_wall(value: str) -> tuple[float, bool]:
    """Seconds of stream time, or a time by the wall clock and True, for argparse."""
    try:
        seconds = float(value)
    except ValueError:
        pass
    else:
        if 0 <= seconds < float("inf"):
            return seconds, False
    try:
        return moment(value), True
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(
            f"expected seconds of the stream, or a time such as 2026-11-27T08:00, got {value!r}"
        ) from None


def day(value: str) -> date:
    """A day, for argparse; `today` and `yesterday` are days, too."""
    named = {"today": 0, "yesterday": 1}
    if value in named:
        return date.today() - timedelta(days=named[value])
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected a day such as 2026-11-27, today or yesterday, got {value!r}"
        ) from None


def zone(value: str) -> tzinfo:
    """A time zone, for argparse."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise argparse.ArgumentTypeError(
            f"expected a time zone such as Europe/Berlin, got {value!r}"
        ) from None


def shown_day(time: float, place: tzinfo | None) -> str:
    """A day and time for people, with its offset from UTC."""
    return datetime.fromtimestamp(time, place).astimezone(place).isoformat(" ", "seconds")


def iso(time: float) -> str:
    """A time for programs: ISO 8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(time, timezone.utc).isoformat(timespec="milliseconds")
