"""A day of all cameras, or of one: what changed, and the most telling of it in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from vljepa_log import digest_of
from vljepa_log.days import day_span
from vljepa_log.digest_pages import page_of

if TYPE_CHECKING:
    from vljepa_log import Digest
    from vljepa_log.digest_pages import Page
    from vljepa_serve.archive.reading import Archive

__all__ = ["Day", "digest_day"]

STEP_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """What happened.

    Attributes:
        digest: Its most telling segments in words.
        changes: Begin of each ten minutes in seconds since 1970, and how many segments began in them.
        page: The same for people, with pictures.
    """

    digest: Digest
    changes: Sequence[tuple[float, int]]
    page: Page


def digest_day(archive: Archive, day: date, cameras: Sequence[str], *, budget: int) -> Day:
    """Look at a day where this machine's clock hangs; words that are made are kept.

    Args:
        archive: Whose log is read.
        day: Which.
        cameras: Names of streams; those that the log has nothing of count for nothing.
        budget: How many segments are shown, and so decodings, at most.
    """
    since, until = day_span(day, None)
    held = {each.name for each in archive.log.streams()}
    segments = [
        segment
        for camera in dict.fromkeys(cameras)
        if camera in held
        for segment in archive.cut(camera, archive.query_of(camera), since, until)
    ]
    words = archive.worded if archive.model.has_decoder else lambda embedding: ""
    found = digest_of(archive.log, words, segments, budget=budget)
    archive.keep([each for each in found.decoded if each.text])
    counts = Counter(each.began // STEP_S * STEP_S for each in segments)
    return Day(
        digest=found,
        changes=sorted(counts.items()),
        page=page_of(found, archive.log, day=day, zone=None),
    )
