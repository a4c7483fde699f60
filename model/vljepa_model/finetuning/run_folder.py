"""The folder of a fine-tuning run: what it does and with what, how far it is, and its metrics.

`run.json` (recipe, and what names checkpoint and data), `skipped.jsonl` (videos that cannot be read), `state.pt` (all
that is needed to go on), `metrics.jsonl` and `checkpoint/`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vljepa_data.annotations import Example, Unusable
from vljepa_model.errors import CheckpointError
from vljepa_model.finetuning.recipe import FineTuneRecipe
from vljepa_model.vl_jepa import VLJEPA
from vljepa_runtime.outputs import replace_file

__all__ = ["RunFolder", "digest_of"]


class RunFolder:
    """Everything that a run keeps on disk; each file is written under a temporary name first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def checkpoint(self) -> Path:
        """Where the model alone is written."""
        return self.folder / "checkpoint"

    def settle(self, recipe: FineTuneRecipe | None, identity: Mapping[str, str]) -> FineTuneRecipe:
        """The recipe of the run in this folder, which starts now if there is none.

        Args:
            recipe: What is asked for; None takes what the folder says, or the default.
            identity: Names checkpoint and data.

        Raises:
            CheckpointError: the folder holds a run with another recipe, checkpoint or data.
        """
        path = self.folder / "run.json"
        if not path.exists():
            if any((self.folder / name).exists() for name in ("recipe.json", "state.pt")):
                raise CheckpointError(f"{self.folder} holds another kind of run: choose another folder")
            settled = recipe or FineTuneRecipe()
            _write(path, json.dumps({"recipe": settled.to_dict(), **identity}, indent=1).encode())
            return settled
        found = json.loads(path.read_text())
        if changed := [name for name in identity if found.get(name) != identity[name]]:
            raise CheckpointError(
                f"{self.folder} holds a run with another {' and '.join(changed)}: choose another folder"
            )
        settled = FineTuneRecipe.from_dict(found["recipe"])
        if recipe is not None and recipe != settled:
            differing = [key for key, value in recipe.to_dict().items() if value != settled.to_dict()[key]]
            raise CheckpointError(
                f"{self.folder} holds a run with another recipe ({', '.join(differing)} differ): "
                "choose another folder"
            )
        return settled

    def skipped(self) -> list[str] | None:
        """Segments found unusable when the run began, as text; None when nobody has looked yet."""
        path = self.folder / "skipped.jsonl"
        if not path.exists():
            return None
        return [json.loads(line)["segment"] for line in path.read_text().splitlines()]

    def skip(self, unusable: Iterable[Unusable]) -> None:
        """Write down what cannot be used, and why."""
        lines = [json.dumps({"segment": str(bad.segment), "reason": bad.reason}) + "\n" for bad in unusable]
        _write(self.folder / "skipped.jsonl", "".join(lines).encode())

    def save_state(self, model: VLJEPA, optimiser: torch.optim.Optimizer, step: int) -> None:
        """Write the weights that learn, the optimiser and the step."""
        weights = {name: p for name, p in model.named_parameters() if p.requires_grad}
        state = {"weights": weights, "optimiser": optimiser.state_dict(), "step": step}
        replace_file(self.folder / "state.pt", lambda file: torch.save(state, file))

    def load_state(self, model: nn.Module, optimiser: torch.optim.Optimizer) -> int:
        """Restore what `save_state` wrote; returns the step, 0 when nothing was written yet."""
        path = self.folder / "state.pt"
        if not path.exists():
            return 0
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        model.load_state_dict(state["weights"], strict=False)
        optimiser.load_state_dict(state["optimiser"])
        return int(state["step"])

    def log(self, values: Mapping[str, float]) -> None:
        """Add a line to the metrics."""
        with (self.folder / "metrics.jsonl").open("a") as file:
            file.write(json.dumps({name: round(value, 6) for name, value in values.items()}) + "\n")

    def forget_metrics_after(self, step: int) -> None:
        """Leave out the lines that a killed run wrote after its last state."""
        path = self.folder / "metrics.jsonl"
        if path.exists():
            lines = [line for line in path.read_text().splitlines(keepends=True) if _step(line) <= step]
            _write(path, "".join(lines).encode())


def digest_of(examples: Sequence[Example]) -> str:
    """Sixteen hexadecimal digits that name a list of annotations."""
    digest = hashlib.sha256()
    for example in examples:
        digest.update(json.dumps([str(example.segment), example.text, example.query]).encode())
    return digest.hexdigest()[:16]


def _step(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except ValueError:  # a kill cut the line off
        return float("inf")


def _write(path: Path, data: bytes) -> None:
    replace_file(path, lambda file: file.write(data))
