"""The modules that are exported, in torch: eager, or compiled where a window runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vljepa_apps.measure.peers.protocol import Backend, Float32, Run
from vljepa_apps.measure.peers.table import Peer
from vljepa_apps.measure.peers.workload import Array, Workload
from vljepa_runtime.contract import PREDICTOR, X_ENCODER

__all__ = ["open_backend", "prepare"]

COMPILED = (X_ENCODER, PREDICTOR)


def prepare(peer: Peer, workload: Workload, folder: Path) -> None:
    """There is nothing to make."""


def open_backend(peer: Peer, workload: Workload, folder: Path, *, threads: int | None) -> TorchBackend:
    """See `Peer.open`."""
    import torch

    if peer.device == "cuda" and not torch.cuda.is_available():
        raise ImportError("torch was built without CUDA")
    if threads is not None:
        torch.set_num_threads(threads)
    return TorchBackend(workload, kind=peer.products, device=peer.device, compiled="compiled" in peer.options)


class TorchBackend(Backend):
    """See `Backend`."""

    def __init__(self, workload: Workload, *, kind: str, device: str, compiled: bool) -> None:
        import torch

        self._torch = torch
        self._dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[kind]
        self._device = device
        self._compiled = compiled
        held = workload.definitions()
        self.names = COMPILED if compiled else tuple(held)
        self._modules: Mapping[str, Any] = {
            name: held[name].module.to(device, self._dtype) for name in self.names
        }
        way = "compiled" if compiled else "eager"
        where = torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} threads"
        self.detail = f"torch {torch.__version__.split('+')[0]} {way} {kind}, {where}"

    def graph(self, name: str) -> Run:
        """See `Backend`."""
        module = self._modules[name]
        if self._compiled:
            import torch._inductor.config as settings

            settings.force_disable_caches = True  # else the second start would find what the first compiled
            module = self._torch.compile(module)

        def run(values: Sequence[Any]) -> Sequence[Any]:
            with self._torch.inference_mode():
                outputs = module(*values)
            return outputs if isinstance(outputs, tuple) else (outputs,)

        return run

    def native(self, array: Array) -> Any:
        """See `Backend`."""
        tensor = self._torch.from_numpy(array).to(self._device)
        return tensor.to(self._dtype) if tensor.is_floating_point() else tensor

    def numpy(self, value: Any) -> Float32:
        """See `Backend`."""
        return np.asarray(value.float().cpu().numpy(), np.float32)
