"""The loop goes on as if it had never been stopped, also from states of earlier versions, and refuses foreign ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from vljepa_model.errors import CheckpointError
from vljepa_model.processes import Processes
from vljepa_model.runs.loop import Losses, Run, read_state
from vljepa_model.runs.optimiser import Optimiser

SEED = 7 * 10**9


@dataclass(frozen=True, slots=True)
class Rows:
    x: Tensor


class RowsByStep(Dataset[Rows]):
    def __getitem__(self, step: int) -> Rows:
        return Rows(torch.randn(3, 4, generator=torch.Generator().manual_seed(step)))


def fresh() -> nn.Linear:
    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    model.bias.requires_grad_(False)
    return model


def adam(model: nn.Module) -> Optimiser:
    learning = [p for p in model.parameters() if p.requires_grad]
    return Optimiser([torch.optim.AdamW(learning, lr=0.5)], lambda step: 0.1 / (step + 1))


def noisy(model: nn.Module) -> Callable[[Rows, int], Losses]:
    """Draws from torch's generator, as a loss with noise does."""
    return lambda rows, step: Losses((model(rows.x) + torch.randn(3, 2)).square().mean())


def run_to(path: Path, stop: int, model: nn.Linear | None = None) -> tuple[list[float], Run]:
    model = model or fresh()
    run = Run(path, model, adam(model), Processes.alone())
    totals = [losses.total.item() for losses in run.steps(noisy(model), RowsByStep(), stop=stop, seed=SEED)]
    run.save(points=[1, 2])
    return totals, run


def test_a_stopped_run_has_the_losses_and_weights_of_an_unbroken_one(tmp_path: Path) -> None:
    whole, unbroken = run_to(tmp_path / "whole.pt", 5)
    first, _ = run_to(tmp_path / "parts.pt", 2)
    torch.rand(9)  # whatever the process did in between
    rest, run = run_to(tmp_path / "parts.pt", 5)
    assert first + rest == whole
    assert (run.step, run.notes) == (5, {"points": [1, 2]})
    one, other = (r.module.state_dict() for r in (unbroken, run))
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def as_training_did(state: dict[str, Any]) -> dict[str, Any]:
    return {
        "objective": state["weights"], "optimisers": state["optimiser"], "step": state["step"]
    }  # fmt: skip


def as_fine_tuning_did(state: dict[str, Any]) -> dict[str, Any]:
    (adam,) = state["optimiser"]
    groups = [{**group, "factor": 0.5} for group in adam["param_groups"]]
    return {**state, "optimiser": {**adam, "param_groups": groups}}


@pytest.mark.parametrize("earlier", [as_training_did, as_fine_tuning_did])
def test_states_of_earlier_versions_are_continued(
    earlier: Callable[[dict[str, Any]], dict[str, Any]], tmp_path: Path
) -> None:
    whole, _ = run_to(tmp_path / "whole.pt", 5)
    first, _ = run_to(tmp_path / "parts.pt", 2)
    torch.save(earlier(torch.load(tmp_path / "parts.pt")), tmp_path / "parts.pt")
    rest, _ = run_to(tmp_path / "parts.pt", 5)
    assert first + rest == whole


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 half a state", b"plainly something else"])
def test_a_damaged_state_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"state\.pt is damaged.*remove it to begin"):
        read_state(path)


def test_a_state_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    torch.save({"model": {}, "step": 3}, path)
    with pytest.raises(CheckpointError, match="it lacks weights, optimiser"):
        read_state(path)
    torch.save([1, 2], path)
    with pytest.raises(CheckpointError, match="not the state of a run"):
        read_state(path)
    path.unlink()
    run_to(path, 1)
    with pytest.raises(CheckpointError, match="another model: choose another folder"):
        run_to(path, 2, nn.Linear(4, 3))
    state = torch.load(path)
    torch.save({**state, "optimiser": []}, path)
    with pytest.raises(CheckpointError, match="does not fit this run"):
        run_to(path, 2)
