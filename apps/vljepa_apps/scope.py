"""What a bundle has never seen, told where it is shown something else. Knows no network and no label."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vljepa_apps import console
from vljepa_apps.demo import folder

if TYPE_CHECKING:
    from vljepa_runtime import Bundle, Clip, Model

__all__ = ["judge_clip", "tell_scope", "tell_unknown"]


def tell_scope(bundle: Bundle, source: str, *, quiet: bool) -> None:
    """Say on stderr that a model has seen too little for its words to mean anything here, and the two ways out.

    Args:
        bundle: Says itself what it knows, if that is so little.
        source: As the user named it, opened before; the stream of a demo is what such a model knows.
        quiet: Say nothing.
    """
    from vljepa_runtime.sources import resolve

    if quiet or not (known := bundle.manifest.knows_only):
        return
    found = resolve(source)
    if isinstance(found, Path) and folder.is_stream(found):
        return
    console.note(
        f"note: {bundle.name} knows {known} only, what it says of anything else means nothing: bring weights that know "
        "more (vljepa import --help), or fine-tune it on your clips (vljepa train --init tiny --data clips.csv --out "
        "runs/mine); --quiet leaves this out"
    )


def judge_clip(model: Model, clip: Clip, *, quiet: bool) -> bool | None:
    """Whether a clip shows nothing that a model knows, said on stderr where it does; one more run of the X-encoder.

    Args:
        model: Judges the clip, where its bundle was calibrated for it.
        clip: What is to be named.
        quiet: Say nothing.
    """
    unknown = model.is_unknown(model.encode(clip)) if model.novelty else None
    tell_unknown(model, unknown, quiet=quiet)
    return unknown


def tell_unknown(model: Model, unknown: bool | None, *, quiet: bool) -> None:
    """Say on stderr that what is said of something is a guess, where it shows nothing that the model knows."""
    if unknown and not quiet:
        console.note(f"note: nothing {model.bundle.name} knows is to be seen here: what follows is a guess")
