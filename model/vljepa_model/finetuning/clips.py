"""The clips of a run: which of them can be read is found out once, and what names the whole list of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from vljepa_data.annotations import Example, Segment, Unusable, survey
from vljepa_runtime.errors import SourceError
from vljepa_runtime.files import replace_file

__all__ = ["digest_of", "left_out", "unusable_of", "write_left_out"]


def unusable_of(
    groups: Mapping[Segment, Sequence[Example]], *, strict: bool, on_survey: Callable[[int, int], None]
) -> list[Unusable]:
    """The clips that cannot be read.

    Args:
        groups: Per clip its texts.
        strict: Raise for a clip that cannot be read, instead of leaving it out.
        on_survey: Told how many clips were looked at, of how many.

    Raises:
        SourceError: `strict`, and a clip cannot be read; or none can.
    """
    unusable = survey(groups, on_progress=lambda done: on_survey(done, len(groups)))
    if unusable and (strict or len(unusable) == len(groups)):
        first = unusable[0]
        raise SourceError(
            f"{len(unusable)} of {len(groups)} clips cannot be read, first {first.segment}: {first.reason}"
        )
    return unusable


def write_left_out(path: Path, unusable: Sequence[Unusable]) -> None:
    """Write down which clips cannot be read, and why, a line of JSON each."""
    lines = [json.dumps({"segment": str(bad.segment), "reason": bad.reason}) + "\n" for bad in unusable]
    replace_file(path, "".join(lines).encode())


def left_out(path: Path) -> frozenset[str]:
    """The segments that `write_left_out` wrote down, as text."""
    return frozenset(json.loads(line)["segment"] for line in path.read_text().splitlines())


def digest_of(examples: Sequence[Example]) -> str:
    """Sixteen hexadecimal digits that name a list of annotations."""
    digest = hashlib.sha256()
    for example in examples:
        digest.update(json.dumps([str(example.segment), example.text, example.query]).encode())
    return digest.hexdigest()[:16]
