"""A contender of a run that has ended, without the clips that it learned from."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer

from vljepa_model.checkpoint import Checkpoint
from vljepa_model.errors import CheckpointError
from vljepa_model.runs.fingerprint import fingerprint
from vljepa_model.runs.folder import known_settings
from vljepa_model.runs.loop import read_state
from vljepa_model.versus.contenders import JepaContender, VlmContender, build
from vljepa_model.versus.contest import SETTINGS, state_file
from vljepa_model.versus.plan import Plan

__all__ = ["trained"]


def trained(
    folder: Path, checkpoint: Checkpoint, name: str, *, seed: int = 0
) -> tuple[Plan, JepaContender | VlmContender]:
    """What a contender of a run has become.

    Args:
        folder: Of the run.
        checkpoint: The one whose X-encoder it learned with.
        name: `vl-jepa` or `token-vlm`.
        seed: Which of the run's.

    Returns:
        The run's plan, and the contender in evaluation mode.

    Raises:
        CheckpointError: the folder holds no such run, or one with another X-encoder.

    Examples:
        >>> from pathlib import Path
        >>> from vljepa_model import checkpoint_folder, load_checkpoint
        >>> from vljepa_model.versus import trained
        >>> plan, vlm = trained(Path("contest"), load_checkpoint(checkpoint_folder("tiny")), "token-vlm")
        >>> plan.keep, sum(parameter.numel() for parameter in vlm.parameters())
        (16, ...)
    """
    identity = {"x_encoder": fingerprint(checkpoint.model.x_encoder)}
    plan = known_settings(folder / SETTINGS, Plan(), key="plan", identity=identity)
    path = state_file(folder, name, seed)
    if plan is None or not path.is_file():
        raise CheckpointError(f"expected the folder of a run of vljepa versus with {path.name}, got {folder}")
    torch.manual_seed(seed)
    contender = build(name, checkpoint.config, Tokenizer.from_file(str(checkpoint.tokenizer_file)), plan)
    contender.load_state_dict(read_state(path)["weights"])
    return plan, contender.eval()
