"""What a bundle has never seen, told where it is shown something else. Knows no network and no label."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vljepa_apps import console
from vljepa_apps.demo import folder

if TYPE_CHECKING:
    from vljepa_runtime import Model

__all__ = ["tell_scope"]


def tell_scope(model: Model, source: str, *, quiet: bool) -> None:
    """Say on stderr that a model has seen too little for its words to mean anything here, and the two ways out.

    Args:
        model: Says itself what it knows, if that is so little.
        source: As the user named it, opened before; the stream of a demo is what such a model knows.
        quiet: Say nothing.
    """
    from vljepa_runtime.sources import resolve

    bundle = model.bundle
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
