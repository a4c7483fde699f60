"""What happened, in few words: of all segments the most telling ones, decoded where nobody has decoded them yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vljepa_log.errors import LogError
from vljepa_log.segments import Segment, Span, segments_of
from vljepa_log.store import EVERYTHING, Where
from vljepa_log.words import shared_s, words_of
from vljepa_log.writer import LogWriter
from vljepa_runtime.errors import InputError
from vljepa_runtime.events import Event, wall_clock

if TYPE_CHECKING:
    from vljepa_log.reader import LogReader
    from vljepa_runtime import Manifest

__all__ = ["Digest", "digest_of", "keep_words", "make_digest", "most_telling", "with_words", "words_event"]

Float32 = npt.NDArray[np.float32]
Decode = Callable[[Float32], str]
NEAR_S = 1.0
"""How far apart the begins of a segment may lie, as it was told then and as it is cut now."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Digest:
    """What changed.

    Attributes:
        segments: Those that are shown, with their words, in the order in which they happened; those of nothing that
            the model knew have none.
        changes: How many segments there were.
        decoded: Those that were decoded for this; the others' words were in the log.
    """

    segments: Sequence[Segment]
    changes: int
    decoded: Sequence[Segment]


def make_digest(
    log: LogReader,
    decode: Decode,
    *,
    where: Where = EVERYTHING,
    between: Span | None = None,
    budget: int | None = None,
) -> Digest:
    """Tell what changed.

    Args:
        log: Whose windows are looked at.
        decode: Puts an embedding into words, such as `Model.decode`; called at most `budget` times.
        where: Which windows.
        between: Only of this span.
        budget: How many segments are shown at most; None shows all.

    Examples:
        >>> import vljepa_runtime as vj
        >>> from vljepa_log import Digest, LogReader, LogWriter, index_source, keep_words, make_digest
        >>> model = vj.load("tiny")
        >>> with LogWriter("DAY", model.bundle.manifest) as log:
        ...     done = index_source(model, "clip.mp4", log)
        >>> with LogReader("DAY", model.bundle.manifest) as log:
        ...     found: Digest = make_digest(log, model.decode, budget=1)
        >>> [segment.text for segment in found.segments], found.changes, len(found.decoded)
        (['a white box bounces'], 2, 1)
        >>> keep_words("DAY", model.bundle.manifest, found.decoded)  # the next time nothing is decoded
        ''
        >>> with LogReader("DAY", model.bundle.manifest) as log:
        ...     len(make_digest(log, model.decode, budget=1).decoded)
        0
    """
    return digest_of(log, decode, list(segments_of(log, where, between=between)), budget=budget)


def digest_of(
    log: LogReader, decode: Decode, segments: Sequence[Segment], *, budget: int | None = None
) -> Digest:
    """The same of segments that are cut already.

    Examples:
        >>> from vljepa_log import LogReader, LogWriter, digest_of
        >>> from vljepa_runtime import Bundle
        >>> LogWriter("QUIET", Bundle.open("tiny").manifest).close()
        >>> with LogReader("QUIET") as log:
        ...     digest_of(log, str, [], budget=12).changes
        0
    """
    chosen = list(segments) if budget is None else most_telling(segments, budget)
    shown, decoded = with_words(log, [each for each in chosen if not each.unknown], decode)
    shown += [each for each in chosen if each.unknown]
    order = sorted(shown, key=lambda each: (each.began, each.stream, each.query))
    return Digest(segments=order, changes=len(segments), decoded=decoded)


def with_words(
    log: LogReader, segments: Sequence[Segment], decode: Decode
) -> tuple[list[Segment], list[Segment]]:
    """Segments with their words, from the log where it has them; and those that had to be decoded.

    Examples:
        >>> import numpy as np
        >>> from vljepa_log import LogReader, LogWriter, windows_at, with_words
        >>> from vljepa_runtime import Bundle
        >>> with LogWriter("WORDS", Bundle.open("tiny").manifest) as log:
        ...     log.add_window("door", "What?", start_s=4, end_s=6, embedding=np.eye(256)[0])
        >>> with LogReader("WORDS") as log:
        ...     shown, decoded = with_words(log, windows_at(log, 5, wall=False), lambda embedding: "a ball")
        >>> [segment.text for segment in shown], len(decoded)
        (['a ball'], 1)
    """
    told = [words_of(log.store, segment, _shared) for segment in segments]
    words = [text or decode(segment.embedding) for text, segment in zip(told, segments)]
    shown = [replace(segment, text=text) for segment, text in zip(segments, words)]
    return shown, [segment for segment, text in zip(shown, told) if not text]


def keep_words(place: str | Path, manifest: Manifest, segments: Sequence[Segment]) -> str:
    """Store the words of segments, so that they need not be decoded again.

    Returns:
        Why they could not be stored, which costs no more than decoding them again; empty when they are.
    """
    if not segments:
        return ""
    try:
        with LogWriter(place, manifest) as log:
            for each in segments:
                log.add_event(words_event(each), at=each.time)
    except (InputError, LogError) as error:  # it has its one writer, or belongs to somebody else
        return str(error)
    return ""


def words_event(segment: Segment) -> Event:
    """A segment's words as a log keeps them; its time is that of their making.

    Examples:
        >>> import numpy as np
        >>> from vljepa_log import Segment, words_event
        >>> segment = Segment(
        ...     stream="door", query="q", start_s=1, end_s=3, time=103, change=1, embedding=np.eye(4)[0], text="a cat"
        ... )
        >>> event = words_event(segment)
        >>> event.kind, event.text, event.decoded
        ('segment', 'a cat', True)
    """
    return Event(
        stream=segment.stream,
        kind="segment",
        start_s=segment.start_s,
        end_s=segment.end_s,
        time=wall_clock(),
        text=segment.text,
        query=segment.query,
        unknown=segment.unknown,
        decoded=True,
    )


def most_telling(segments: Sequence[Segment], budget: int) -> list[Segment]:
    """So many segments that say most, in their order.

    Each is the one that adds most: its seconds times its distance from what is nearest to it of those before.

    Args:
        segments: Of any streams.
        budget: How many.

    Examples:
        >>> import numpy as np
        >>> from vljepa_log import Segment, most_telling
        >>> day = [
        ...     Segment(stream="s", query="q", start_s=a, end_s=b, time=b, change=0.5, embedding=np.eye(2)[what])
        ...     for a, b, what in ((0, 50, 0), (50, 90, 0), (90, 100, 1))
        ... ]
        >>> [segment.start_s for segment in most_telling(day, 2)]
        [0, 90]
    """
    if len(segments) <= budget:
        return list(segments)
    rows = np.stack([each.embedding for each in segments])
    seconds = np.array([each.end_s - each.start_s for each in segments])
    distance = np.ones(len(segments))
    chosen: list[int] = []
    while len(chosen) < budget:
        gain = seconds * distance
        gain[chosen] = -1.0
        chosen.append(int(gain.argmax()))
        distance = np.minimum(distance, np.maximum(0.0, 1.0 - rows @ rows[chosen[-1]]))
    return [segments[index] for index in sorted(chosen)]


def _shared(event: Event, start_s: float, end_s: float) -> float:
    """Seconds that both have, where an event lies in a segment and tells its begin or half of it.

    A session tells a segment before it is over, so its event is shorter; a single window tells a part of it.
    """
    shared = shared_s(event, start_s, end_s)
    inside = 2 * shared > event.end_s - event.start_s
    about = abs(event.start_s - start_s) <= NEAR_S or 2 * shared >= end_s - start_s
    return shared if inside and about else 0.0
