"""Days where their clocks hang, and what people read of times and lengths. Knows no log."""

from __future__ import annotations

from datetime import date, datetime, timedelta, tzinfo

__all__ = ["day_of", "day_span", "duration", "shown"]


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


def day_of(time: float, place: tzinfo | None) -> date:
    """The day of a time where its clocks hang."""
    return datetime.fromtimestamp(time, place).date()


def duration(seconds: float) -> str:
    """`75` -> `1m15s`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
