"""What can be a line of a comparison beside a bundle, a row a kind. Imports no library that a line needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vljepa_apps.measure.baselines.protocol import Baseline

__all__ = ["KINDS", "Kind", "kind_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of line.

    Attributes:
        name: Stands before the colon of a line's spec.
        what: For people.
        place: What follows the colon.
        opens: File of this folder and function, called with the place and `threads`.
        usual: Place where none is named; empty where one has to be.
        prepares: File and function, called with the place, that makes what is kept for `opens`.
    """

    name: str
    what: str
    place: str
    opens: str
    usual: str = ""
    prepares: str = ""

    @property
    def form(self) -> str:
        """How a line of this kind is written."""
        return f"{self.name}[:{self.place}]" if self.usual else f"{self.name}:{self.place}"

    def open(self, place: str, *, threads: int | None) -> Baseline:
        """The model, ready to run."""
        model: Baseline = resolve_name(f"vljepa_apps.measure.{self.opens}")(place, threads=threads)
        return model

    def prepare(self, place: str) -> None:
        """Make what opening needs and keeps; nothing for most."""
        if self.prepares:
            resolve_name(f"vljepa_apps.measure.{self.prepares}")(place)


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            name="torch",
            what="a checkpoint in eager float32 PyTorch",
            place="FOLDER",
            opens="torch_model:open_checkpoint",
            usual="tiny",
        ),
        Kind(
            name="hf",
            what="a dual encoder or token VLM of transformers, exported by Optimum, on ONNX Runtime",
            place="FOLDER",
            opens="baselines.hugging_face:open_onnx",
            prepares="baselines.hugging_face:prepare_onnx",
        ),
        Kind(
            name="hf-torch",
            what="the same in eager float32 PyTorch",
            place="FOLDER",
            opens="baselines.hugging_face:open_torch",
        ),
        Kind(
            name="text",
            what="a sentence encoder that never looks at the video: what the texts alone give away",
            place="FOLDER",
            opens="baselines.sentences:open_sentences",
        ),
        Kind(
            name="versus",
            what="the token-space VLM of a run of `vljepa versus`",
            place="RUN",
            opens="baselines.versus_vlm:open_run",
        ),
    )
}


def kind_of(spec: str) -> tuple[Kind, str] | None:
    """The row and the place that a spec names; None for a bundle.

    Args:
        spec: Such as `hf:models/clip`, `torch`, or a bundle's path or name.
    """
    name, colon, place = spec.partition(":")
    kind = KINDS.get(name)
    if kind is None or not (colon or kind.usual):
        return None
    return kind, place or kind.usual
