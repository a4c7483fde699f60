"""A question about a past moment: from what the log keeps of it, or from its video where that was kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from vljepa_serve.archive.moments import MomentId
from vljepa_serve.errors import ServeError

if TYPE_CHECKING:
    from vljepa_log import Segment
    from vljepa_runtime import Scored
    from vljepa_serve.archive.reading import Archive

__all__ = ["Answer", "ask"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was found out.

    Attributes:
        text: The best candidate, or words of the Y-decoder.
        scores: All candidates, best first; empty where there were none.
        decoded: Whether the Y-decoder wrote `text`.
        source: What it was answered from: the stored embedding, or the video.
        segment: What the log has of that moment.
    """

    text: str
    scores: Sequence[Scored]
    decoded: bool
    source: Literal["embedding", "video"]
    segment: Segment


def ask(archive: Archive, moment: MomentId, question: str, candidates: Sequence[str]) -> Answer:
    """Answer a question about a moment.

    The stored embedding answers what was asked of every window anyway. Anything else is asked of the video; without
    that, candidates are compared with the embedding that answers the camera's first question.

    Raises:
        ServeError: nothing of that moment was kept, or not enough for an answer in words.
    """
    asked = question if question in archive.queries_of(moment.camera) else None
    segment = archive.at(moment, asked)
    frames = archive.frames(moment) if asked is None else None
    if asked is None and frames is None and not candidates:
        raise ServeError(
            409,
            f"{moment.camera} was not asked that at the time and its video is not kept: name possible answers, "
            "which are compared with what the log keeps.",
            field="candidates",
        )
    embedding = segment.embedding if frames is None else archive.model.embed(frames, question)
    ranked = archive.model.rank(embedding, list(dict.fromkeys(candidates))) if candidates else ()
    return Answer(
        text=ranked[0].label if ranked else archive.worded(embedding),
        scores=ranked,
        decoded=not ranked,
        source="embedding" if frames is None else "video",
        segment=segment,
    )
