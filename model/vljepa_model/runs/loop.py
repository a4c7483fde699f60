"""The training loop: on one CPU or GPU, or on several under torchrun, and resumable after a kill at any moment.

What is drawn in a step depends on the seed and the step alone, so a run that goes on ends with the very weights of an
unbroken one. Knows no network, no data and no schedule.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from vljepa_model.errors import CheckpointError
from vljepa_model.processes import Processes, quiet_worker
from vljepa_model.runs.optimiser import Optimiser
from vljepa_runtime.files import replace_file

__all__ = ["Losses", "Run", "read_state"]

MAX_GRADIENT = 1.0  # norm, over all weights together
STATE_KEYS = ("weights", "optimiser", "step")
EARLIER_KEYS = {"objective": "weights", "optimisers": "optimiser"}  # as training wrote them at first

B = TypeVar("B")


@dataclass(frozen=True, slots=True)
class Losses:
    """One step's loss; subclasses add the parts of it that the log names."""

    total: Tensor


L = TypeVar("L", bound=Losses)


class Run:
    """What learns, how many steps it has learned, and the file from which it goes on.

    Attributes:
        step: Updates done since the run began.
        notes: What was saved beside weights and optimiser.

    Args:
        path: The state's file; one that exists is restored.
        module: Its weights that need a gradient are the state.
        optimiser: Updates these weights; its moments are saved too.
        processes: Those that share a batch and its gradient.

    Raises:
        CheckpointError: the state is damaged, or that of another model.
    """

    def __init__(self, path: Path, module: nn.Module, optimiser: Optimiser, processes: Processes) -> None:
        self.path, self.module, self.optimiser, self.processes = path, module, optimiser, processes
        self.step = 0
        self.notes: dict[str, Any] = {}
        if path.exists():
            self._restore(read_state(path))

    def steps(
        self,
        objective: Callable[[B, int], L],
        batches: Dataset[B],
        *,
        stop: int,
        seed: int,
        half: bool | None = None,
        workers: int = 0,
    ) -> Iterator[L]:
        """Update the weights step by step; `step` has counted an update when its losses are given.

        Args:
            objective: Gives losses for a batch and the number of its step.
            batches: Those of this process: a dataclass of tensors per step, which depends on the step alone.
            stop: Stop when so many updates are done in all.
            seed: Seeds what an objective draws in step 0; each later step's is one higher.
            half: Matrix products in bfloat16, None where the device has instructions for it; weights and optimiser are
                float32 either way.
            workers: Processes that load batches.
        """
        loader: DataLoader[B] = DataLoader(
            batches,
            batch_size=None,
            sampler=range(self.step, stop),
            num_workers=workers,
            worker_init_fn=quiet_worker,
        )
        device = self.processes.device
        half = self.processes.has_bf16() if half is None else half
        for batch in loader:
            torch.manual_seed(seed + self.step)
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=half):
                losses = objective(_moved(batch, device), self.step)
            torch.autograd.backward(losses.total)
            self.processes.average_gradients(self.module)
            nn.utils.clip_grad_norm_(self.module.parameters(), MAX_GRADIENT)
            self.optimiser.step(self.step)
            self.step += 1
            yield losses

    def save(self, **notes: Any) -> None:
        """Replace the state by what is so now; the first process does so.

        Args:
            notes: Plain values that `notes` of the next run gives back.
        """
        if self.processes.rank > 0:
            return
        state = {"weights": self._learning(), "optimiser": self.optimiser.state_dict(), "step": self.step}
        replace_file(self.path, lambda file: torch.save({**state, **notes}, file))

    def _restore(self, state: Mapping[str, Any]) -> None:
        weights, own = state["weights"], self._learning()
        if {name: t.shape for name, t in weights.items()} != {name: t.shape for name, t in own.items()}:
            raise CheckpointError(
                f"{self.path} is the state of a run with another model: choose another folder"
            )
        try:
            self.module.load_state_dict(weights, strict=False)
            self.optimiser.load_state_dict(state["optimiser"])
        except (RuntimeError, ValueError, KeyError) as error:
            raise CheckpointError(f"{self.path} does not fit this run: {error}") from error
        self.step = int(state["step"])
        self.notes = {name: value for name, value in state.items() if name not in STATE_KEYS}

    def _learning(self) -> dict[str, Tensor]:
        return {name: p.detach() for name, p in self.module.named_parameters() if p.requires_grad}


def read_state(path: Path) -> dict[str, Any]:
    """The state of a run, whichever version wrote it.

    Raises:
        CheckpointError: the file is damaged, or holds something else.
    """
    try:
        found: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        state = {EARLIER_KEYS.get(name, name): value for name, value in found.items()}
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, AttributeError) as error:
        raise CheckpointError(
            f"{path} is damaged, or not the state of a run: remove it to begin from the first step"
        ) from error
    if missing := [name for name in STATE_KEYS if name not in state]:
        raise CheckpointError(f"{path} is not the state of a run: it lacks {', '.join(missing)}")
    if isinstance(state["optimiser"], dict):  # fine-tuning and comparisons wrote their one optimiser bare
        state["optimiser"] = [state["optimiser"]]
    return state


def _moved(batch: B, device: torch.device) -> B:
    """A dataclass with all of its tensors on a device."""
    if device.type == "cpu":
        return batch
    parts = {field.name: getattr(batch, field.name) for field in fields(batch)}  # type: ignore[arg-type]
    moved = {name: part.to(device) for name, part in parts.items() if hasattr(part, "to")}
    return replace(batch, **moved)  # type: ignore[type-var]
