"""A dual encoder as a line: a clip is the mean of its pictures' embeddings, whatever is asked of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from vljepa_apps.measure.baselines.folder import Folder
from vljepa_apps.measure.baselines.processing import ClipProcessor
from vljepa_apps.measure.baselines.protocol import Float32, UInt8
from vljepa_apps.measure.baselines.towers import Towers
from vljepa_apps.measure.cells import WINDOW
from vljepa_evaluation.tasks import CannotError
from vljepa_runtime.contract import X_ENCODER, Y_ENCODER
from vljepa_runtime.norms import unit_rows
from vljepa_runtime.preprocessing import Clip, Unfitted

if TYPE_CHECKING:
    from vljepa_apps.measure.latency import Cells

__all__ = ["DualEncoder"]

TEXTS_AT_ONCE = 64
TEXT = "a person opens a door and walks into the next room with a cup of coffee in the left hand"


class DualEncoder:
    """See `Baseline`: CLIP, SigLIP 2, X-CLIP and the like.

    Args:
        folder: Gives the processor.
        towers: Run it.
    """

    has_decoder = False

    def __init__(self, folder: Folder, towers: Towers) -> None:
        self._folder, self._towers, self._inputs = folder, towers, ClipProcessor(folder)
        self.engine_name = towers.detail
        self.preprocess = Unfitted(frames=self._inputs.frames, tubelet=1)
        self._texts: dict[str, Float32] = {}

    def encode(self, frames: UInt8 | Clip) -> Float32:
        """Frames (T, H, W, 3) -> L2-normalised embeddings (T, S) of the pictures, or (1, S) of the clip."""
        return unit_rows(self._towers.image(self._inputs.pictures(frames)))

    def predict(self, visual: Float32, query: str | None = None) -> Float32:
        """Embeddings (T, S) -> their mean (S,), L2-normalised: a dual encoder hears no query."""
        return unit_rows(visual.mean(axis=0))

    def embed(self, frames: UInt8 | Clip, query: str | None = None) -> Float32:
        """Frames (T, H, W, 3) -> embedding (S,)."""
        return self.predict(self.encode(frames))

    def embed_text(self, texts: Sequence[str]) -> Float32:
        """Texts -> embeddings (B, S), L2-normalised; each is embedded once."""
        fresh = [text for text in dict.fromkeys(texts) if text not in self._texts]
        for start in range(0, len(fresh), TEXTS_AT_ONCE):
            chunk = fresh[start : start + TEXTS_AT_ONCE]
            self._texts.update(zip(chunk, unit_rows(self._towers.text(self._inputs.tokens(chunk)))))
        return np.stack([self._texts[text] for text in texts])

    def decode(self, embedding: Float32) -> NoReturn:
        """There is nothing to word an embedding with."""
        raise CannotError("a dual encoder ranks texts and words none")

    def cells(self, frames: UInt8) -> Cells:
        """Each tower alone, and a window from its frames on."""
        shown, said = self._inputs.pictures(frames), self._inputs.tokens([TEXT])
        return {
            X_ENCODER: partial(self._towers.image, shown),
            Y_ENCODER: partial(self._towers.text, said),
            WINDOW: partial(self.embed, frames),
        }

    def facts(self) -> Mapping[str, Any]:
        """See `Baseline`."""
        return {
            "parameters": self._towers.parameters,
            "size_bytes": self._folder.size_bytes,
            "precision": {"all": "fp32"},
        }
