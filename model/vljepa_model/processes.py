"""The processes of a run: those under torchrun, how they make one batch together, and the workers that load data."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from vljepa_runtime.engines.processor import has_bf16

__all__ = ["Processes", "first_on_machine", "gather_rows", "quiet_worker"]


@dataclass(frozen=True, slots=True)
class Processes:
    """Which process this is, of how many, and where it computes."""

    rank: int
    count: int
    device: torch.device

    @classmethod
    def join(cls) -> Processes:
        """Join the others under torchrun (nccl on GPUs, gloo on CPUs); alone otherwise."""
        cuda = torch.cuda.is_available()
        if dist.is_available() and dist.is_torchelastic_launched() and not dist.is_initialized():
            dist.init_process_group("nccl" if cuda else "gloo")
        together = dist.is_available() and dist.is_initialized()
        local = dist.get_node_local_rank(fallback_rank=0) if together else 0
        device = torch.device("cuda", local) if cuda else torch.device("cpu")
        if cuda:
            torch.cuda.set_device(device)
        return cls(*((dist.get_rank(), dist.get_world_size()) if together else (0, 1)), device)

    @classmethod
    def alone(cls) -> Processes:
        """One process on the CPU."""
        return cls(0, 1, torch.device("cpu"))

    def has_bf16(self) -> bool:
        """Whether the device has instructions for bfloat16: without them products in it take 4 times as long."""
        return torch.cuda.is_bf16_supported() if self.device.type == "cuda" else has_bf16()

    def wait(self) -> None:
        """Until all are here."""
        if self.count > 1:
            dist.barrier()

    @contextmanager
    def first_before_others(self) -> Iterator[None]:
        """What is inside is done by the first process, then by the others: it writes the files that they read."""
        if self.rank > 0:
            self.wait()
        yield
        if self.rank == 0:
            self.wait()

    def total(self, value: Tensor) -> Tensor:
        """Sum of a tensor over all processes; no gradient."""
        out = value.detach().clone()
        if self.count > 1:
            dist.all_reduce(out)
        return out

    def average_gradients(self, module: nn.Module) -> None:
        """Replace every gradient by its mean over all processes."""
        if self.count == 1:
            return
        for parameter in module.parameters():
            if parameter.grad is not None:
                dist.all_reduce(parameter.grad)
                parameter.grad /= self.count

    def leave(self) -> None:
        """Part from the others."""
        if self.count > 1:
            dist.destroy_process_group()


def first_on_machine() -> bool:
    """Whether this process is the one that speaks to the user; also before the others were joined."""
    return not dist.is_available() or dist.get_node_local_rank(fallback_rank=0) == 0


def quiet_worker(_: int) -> None:
    """Keep a data worker to one thread; for `DataLoader(worker_init_fn=...)`."""
    import cv2

    cv2.setNumThreads(0)
    torch.set_num_threads(1)


def gather_rows(x: Tensor) -> Tensor:
    """Rows (B, ...) of all processes in their order: (count * B, ...); gradients find their way back to each."""
    if not (dist.is_available() and dist.is_initialized()):
        return x
    out: Tensor = _GatherRows.apply(x)  # type: ignore[no-untyped-call]
    return out


class _GatherRows(torch.autograd.Function):
    """Every process computes the same loss of all rows, so the way back adds up what all of them found."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        parts = [torch.empty_like(x) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, x.contiguous())
        ctx.rows = len(x)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous().clone()
        dist.all_reduce(total)
        start = dist.get_rank() * ctx.rows
        return total[start : start + ctx.rows]
