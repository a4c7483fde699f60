"""States taught by moments of the past, and what cameras show of them now."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from vljepa_log import Where
from vljepa_serve.archive.moments import MomentId
from vljepa_serve.errors import ServeError
from vljepa_teach import Example, teach_from_log

if TYPE_CHECKING:
    from vljepa_runtime import Manifest, States
    from vljepa_serve.archive.process import OpenLog
    from vljepa_serve.archive.reading import Archive
    from vljepa_teach import Taught

__all__ = ["shown_now", "teach_moments"]

LATELY_S = 60.0


def teach_moments(
    archive: Archive, examples: Sequence[tuple[str, MomentId]], *, query: str | None = None
) -> Taught:
    """Teach states by moments; see `teach_from_log`.

    Args:
        archive: Whose log has them.
        examples: A state and a moment that shows it, one after the other.
        query: Which of the cameras' embeddings are looked at; None takes what the first one is asked.

    Raises:
        ServeError: there are none, or the log holds nothing of a camera.
        InputError: there are too few, or one is not in the log.
    """
    if not examples:
        raise ServeError(422, "Expected moments of at least two states, got none.", field="states")
    asked = query or archive.query_of(examples[0][1].camera)
    for _, moment in examples:
        archive.at(moment, asked)
    parts = [Example(state, moment.camera, moment.start, moment.end) for state, moment in examples]
    return archive.read(_teach, archive.model.bundle.manifest, parts, asked)


def _teach(opened: OpenLog, manifest: Manifest, parts: list[Example], query: str) -> Taught:
    return teach_from_log(opened.log, manifest, parts, query=query, wall=True)


def shown_now(
    archive: Archive, states: States, cameras: Sequence[str]
) -> Mapping[str, list[tuple[str, float]]]:
    """How likely each state is, best first, of cameras whose newest window came in the last minute."""
    found = {}
    for camera in cameras:
        where = Where(streams=(camera,), queries=(states.query,), since=time.time() - LATELY_S)
        batches = list(archive.log.windows(where))
        if batches:
            likely = states.probabilities(batches[-1].embeddings[-1]).tolist()
            found[camera] = sorted(zip(states.names, likely), key=lambda each: -each[1])
    return found
