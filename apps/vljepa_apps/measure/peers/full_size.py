"""A part of the published sizes as a checkpoint: whole width, few layers, random weights. For speed alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from vljepa_model.shipped import checkpoint_folder

__all__ = ["LAYERS", "write_full_size"]

LAYERS = {"x_encoder": (3, 24), "predictor": (1, 8)}
"""How many are built, and how many there are: an eighth of both, so that a float32 window takes seconds."""
FPS = 4.0


def write_full_size(folder: Path) -> Path:
    """Write the checkpoint: ViT-L and Llama-3.2-1B blocks; texts are those of the shipped model, words are left out.

    Args:
        folder: Is created.

    Returns:
        The folder.
    """
    import torch

    from vljepa_model.checkpoint import open_checkpoint, save_checkpoint
    from vljepa_model.config import ModelConfig
    from vljepa_model.vl_jepa import VLJEPA
    from vljepa_runtime.preprocessing import Preprocess

    shipped, paper = open_checkpoint(checkpoint_folder("tiny")), ModelConfig.preset("paper")
    depths = {name: replace(getattr(paper, name), depth=built) for name, (built, _) in LAYERS.items()}
    config = replace(
        paper,
        **depths,
        y_encoder=shipped.config.y_encoder,
        y_decoder=None,
        vocab_size=shipped.config.vocab_size,
        pad_id=shipped.config.pad_id,
        bos_id=shipped.config.bos_id,
        eos_id=shipped.config.eos_id,
    )
    torch.manual_seed(0)
    sizes = config.x_encoder
    return save_checkpoint(
        VLJEPA(config).eval(),
        folder,
        dtype="fp32",  # as large as the exporter calls large: it then measures a window, not dozens
        tokenizer_file=shipped.tokenizers["predictor"],
        preprocess=Preprocess(
            frames=sizes.frames, fps=FPS, size=sizes.size, patch=sizes.patch, tubelet=sizes.tubelet
        ),
        prompts=shipped.prompts,
    )
