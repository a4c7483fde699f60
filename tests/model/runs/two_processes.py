"""A step of training by two processes under gloo and by one with the whole batch: losses and gradients to a file.

Run by `test_two_processes.py` in an interpreter of its own: `two_processes.py FILE`.
"""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from vljepa_model.config import ModelConfig, TextStackConfig, XEncoderConfig, YDecoderConfig
from vljepa_model.processes import Processes
from vljepa_model.training.batches import Batch
from vljepa_model.training.objective import Objective
from vljepa_model.training.recipe import Recipe
from vljepa_model.vl_jepa import VLJEPA

CLIPS, LESSONS, PROCESSES = 4, 2, 2
RECIPE = Recipe(steps=1, stage_zero=0, stage_one=0, lessons=LESSONS, dense=0.0, decoder=0.0)
STACK = TextStackConfig(width=24, depth=1, heads=2, kv_heads=2, head_dim=12, mlp=32)
CONFIG = ModelConfig(
    x_encoder=XEncoderConfig(width=32, depth=1, heads=2, mlp=48, patch=4, size=16, frames=4),
    predictor=STACK,
    y_encoder=STACK,
    y_decoder=YDecoderConfig(stack=STACK, prefix=2),
    embedding_dim=12,
    vocab_size=50,
)


def whole_batch() -> Batch:
    """Four clips, two lessons each, a wrong text per clip; two lessons of different clips mean the same."""
    random = torch.Generator().manual_seed(0)

    def drawn(*shape: int, high: int = 50) -> Tensor:
        return torch.randint(high, shape, generator=random)

    pairs = CLIPS * LESSONS
    keys = torch.arange(pairs + CLIPS)
    keys[6], keys[9] = keys[1], keys[7]
    positions = torch.cartesian_prod(torch.arange(2), torch.arange(4), torch.arange(4))
    return Batch(
        patches=drawn(CLIPS, 32, 2 * 4 * 4 * 3, high=256).to(torch.uint8),
        positions=positions.expand(CLIPS, -1, -1).to(torch.int32),
        truth=torch.zeros(CLIPS, 32, 6, dtype=torch.int64),
        query_ids=drawn(pairs, 5),
        query_mask=torch.ones(pairs, 5, dtype=torch.int64),
        text_ids=drawn(pairs + CLIPS, 6),
        text_mask=torch.ones(pairs + CLIPS, 6, dtype=torch.int64),
        keys=keys,
        word_ids=drawn(CLIPS, 4),
        word_mask=torch.ones(CLIPS, 4, dtype=torch.int64),
    )


def share_of(batch: Batch, rank: int) -> Batch:
    """What one process has of it: its clips, their lessons, and their targets before their wrong texts."""

    def rows(start: int, count: int) -> Tensor:
        each = count // PROCESSES
        return torch.arange(start + rank * each, start + (rank + 1) * each)

    pairs = CLIPS * LESSONS
    texts = torch.cat((rows(0, pairs), rows(pairs, CLIPS)))
    where = {"query_ids": rows(0, pairs), "query_mask": rows(0, pairs)}
    where |= dict.fromkeys(("text_ids", "text_mask", "keys"), texts)
    return Batch(*(getattr(batch, f.name)[where.get(f.name, rows(0, CLIPS))] for f in fields(Batch)))


def step(batch: Batch, processes: Processes) -> dict[str, Any]:
    torch.manual_seed(0)
    objective = Objective(VLJEPA(CONFIG), RECIPE)
    losses = objective(batch, 0)
    torch.autograd.backward(losses.total)
    processes.average_gradients(objective)
    gradients = {name: p.grad for name, p in objective.named_parameters() if p.grad is not None}
    return {"loss": losses.contrastive, "top1": losses.top1, "gradients": gradients}


def work(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=PROCESSES)
    done = step(share_of(whole_batch(), rank), Processes(rank, PROCESSES, torch.device("cpu")))
    torch.save(done, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.save(step(whole_batch(), Processes.alone()), Path(sys.argv[1]) / "whole.pt")
    torch.multiprocessing.spawn(work, args=(sys.argv[1],), nprocs=PROCESSES)
