"""What of a bundle was calibrated: when a window shows nothing known, and what tells the events of a stream apart."""

from __future__ import annotations

from vljepa_runtime.bundle.reader import Bundle
from vljepa_runtime.contract import X_ENCODER
from vljepa_runtime.errors import BundleError
from vljepa_runtime.novelty import Novelty
from vljepa_runtime.selection.boundaries import Boundaries

__all__ = ["boundaries_of", "novelty_of"]


def novelty_of(bundle: Bundle) -> Novelty | None:
    """What says that a window shows nothing known; None where nothing does.

    Raises:
        BundleError: it is damaged, or of other visual tokens than the X-encoder's.
    """
    if (spec := bundle.manifest.novelty) is None:
        return None
    novelty = Novelty.from_bytes(bundle.read(spec.file))
    (visual,) = bundle.graph(X_ENCODER).outputs
    if novelty.width != visual.shape[-1]:
        raise BundleError(
            f"{spec.file} is of visual tokens of {novelty.width} values, the X-encoder gives {visual.shape[-1]}: "
            "export the bundle again"
        )
    return novelty


def boundaries_of(bundle: Bundle) -> Boundaries | None:
    """What tells the events of a stream apart; None where nothing does.

    Raises:
        BundleError: it is damaged.
    """
    file = bundle.manifest.boundaries
    return Boundaries.from_bytes(bundle.read(file)) if file else None
