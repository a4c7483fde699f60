"""Days, hours and time zones, as commands read and show them. Knows no log."""

from __future__ import annotations

import argparse
from datetime import date, datetime, timedelta, timezone, tzinfo

__all__ = ["day", "day_of", "day_span", "iso", "moment", "shown", "shown_day", "stream_or_wall", "zone"]


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


def day_span(of: date, place: tzinfo | None) -> tuple[float, float]:
    """Begin and end of a day where its clocks hang, in seconds since 1970: 23 to 25 hours.

    Args:
        of: The day.
        place: Its time zone; None for this machine's.
    """
    begin, end = (
        datetime(each.year, each.month, each.day, tzinfo=place).timestamp()
        for each in (of, of + timedelta(days=1))
    )
    return begin, end


def shown(time: float, place: tzinfo | None) -> str:
    """A time for people; with its offset from UTC on a day that has two."""
    at = datetime.fromtimestamp(time, place).astimezone(place)
    begin, end = (
        datetime.fromtimestamp(each, place).astimezone(place) for each in day_span(at.date(), place)
    )
    changes = begin.utcoffset() != end.utcoffset()
    return at.strftime("%H:%M:%S %z" if changes else "%H:%M:%S")


def shown_day(time: float, place: tzinfo | None) -> str:
    """A day and time for people, with its offset from UTC."""
    return datetime.fromtimestamp(time, place).astimezone(place).isoformat(" ", "seconds")


def day_of(time: float, place: tzinfo | None) -> date:
    """The day of a time where its clocks hang."""
    return datetime.fromtimestamp(time, place).date()


def iso(time: float) -> str:
    """A time for programs: ISO 8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(time, timezone.utc).isoformat(timespec="milliseconds")
