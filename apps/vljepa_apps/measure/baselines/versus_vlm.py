"""The token-space VLM of a run of `vljepa versus` as a line: this project's own, on the same frozen X-encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vljepa_apps.measure.baselines.protocol import Float32, UInt8
from vljepa_apps.measure.baselines.rating import RatingVlm
from vljepa_apps.measure.cells import DECODE, WINDOW
from vljepa_data.world import PROMPTS
from vljepa_runtime.contract import STEP, X_ENCODER
from vljepa_runtime.errors import InputError, MissingExtraError
from vljepa_runtime.preprocessing import Clip, SalientTokens, clip_tokens, fit_frames

if TYPE_CHECKING:
    from vljepa_apps.measure.latency import Cells

__all__ = ["VersusVlm", "open_run"]


def open_run(place: str, *, threads: int | None) -> VersusVlm:
    """The VLM of a run's first seed.

    Args:
        place: Folder of the run (`--out`); its `versus.json` names the checkpoint.
        threads: Of torch; None takes its own choice.

    Raises:
        InputError: it is no finished run.
        MissingExtraError: torch is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("torch", "train") from error
    from vljepa_model.checkpoint import load_checkpoint
    from vljepa_model.shipped import checkpoint_folder
    from vljepa_model.versus import trained
    from vljepa_runtime.files import parse_json

    try:
        report = parse_json((Path(place) / "versus.json").read_text(encoding="utf-8"))
        checkpoint = load_checkpoint(checkpoint_folder(str(report["checkpoint"])))
    except (OSError, KeyError, TypeError) as error:
        raise InputError(
            f"expected the folder of a finished run of vljepa versus, which holds versus.json, got {place}"
        ) from error
    if threads is not None:
        torch.set_num_threads(threads)
    plan, vlm = trained(Path(place), checkpoint, "token-vlm", seed=int(report["plan"]["seeds"][0]))
    return VersusVlm(vlm, checkpoint, keep=plan.keep)


class VersusVlm(RatingVlm):
    """See `Baseline` and `Scoring`.

    Args:
        vlm: The trained contender.
        checkpoint: Gives the X-encoder that it learned with.
        keep: Visual tokens of a clip, the most salient ones.
    """

    def __init__(self, vlm: Any, checkpoint: Any, *, keep: int) -> None:
        super().__init__()
        from vljepa_apps.measure.baselines.loading import torch_detail

        self._vlm, self._encoder = vlm, checkpoint.model.x_encoder.float().eval()
        self.preprocess = checkpoint.preprocess
        self._tokens = SalientTokens(min(keep, self.preprocess.tokens))
        self.engine_name = torch_detail()

    def encode(self, frames: UInt8 | Clip) -> Float32:
        """Frames (T, H, W, 3), or a fitted clip -> visual tokens (N, Dv)."""
        return self._see(*self._patches(frames))

    def score_texts(self, predicted: Float32, texts: Sequence[str]) -> Float32:
        """Mean log-likelihood per token (A,) of A texts as the answer."""
        import torch

        visual, query = self.asked(predicted)
        with torch.inference_mode():
            return np.asarray(
                self._vlm.rated(torch.from_numpy(visual)[None], query, texts).numpy(), np.float32
            )

    def cells(self, frames: UInt8) -> Cells:
        """The X-encoder, one step of the decoder, a window up to the first token, and a whole text."""
        patches, query = self._patches(frames), PROMPTS["caption"]
        visual = self._see(*patches)
        token, past = self._read(visual, query)
        return {
            X_ENCODER: partial(self._see, *patches),
            STEP: partial(self._step, token, past),
            WINDOW: lambda: self._read(self.encode(frames), query),
            DECODE: partial(self._worded, visual, query),
        }

    def facts(self) -> Mapping[str, Any]:
        """See `Baseline`."""
        networks = (self._vlm, self._encoder)
        count = sum(parameter.numel() for network in networks for parameter in network.parameters())
        return {"parameters": count, "size_bytes": 4 * count, "precision": {"all": "fp32 (eager)"}}

    def _patches(self, frames: UInt8 | Clip) -> tuple[Any, Any]:
        return clip_tokens(fit_frames(frames, self.preprocess), tokens=self._tokens)

    def _see(self, patches: Any, positions: Any) -> Float32:
        import torch

        with torch.inference_mode():
            rows = self._encoder(torch.from_numpy(patches)[None], torch.from_numpy(positions)[None])
        return np.asarray(rows[0].numpy(), np.float32)

    def _read(self, visual: Float32, query: str) -> tuple[Any, Any]:
        """The first token (1, 1) of the answer, and the cache."""
        import torch

        with torch.inference_mode():
            logits, past = self._vlm.vlm.read(torch.from_numpy(visual)[None], self._vlm.prompt(query))
        return logits.argmax(dim=-1, keepdim=True), past

    def _step(self, token: Any, past: Any) -> None:
        import torch

        with torch.inference_mode():
            self._vlm.vlm.step(token, past)

    def _worded(self, visual: Float32, query: str) -> str:
        import torch

        with torch.inference_mode():
            (text,) = self._vlm.answers(torch.from_numpy(visual)[None], query)
        return str(text)
