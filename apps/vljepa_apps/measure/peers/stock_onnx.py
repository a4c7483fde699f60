"""`torch.onnx.export` with its defaults, on ONNX Runtime with its defaults: no pass and no setting of this project."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vljepa_apps.measure.peers.protocol import Backend, Run
from vljepa_apps.measure.peers.table import Peer
from vljepa_apps.measure.peers.workload import Workload

__all__ = ["open_backend", "prepare"]

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def prepare(peer: Peer, workload: Workload, folder: Path) -> None:
    """Export every graph for the sizes of the workload."""
    import onnxscript  # noqa: F401  (torch's exporter needs it, and says so late)
    import torch

    for name, definition in workload.definitions().items():
        feeds = tuple(map(torch.from_numpy, workload.feeds(name)))
        program = torch.onnx.export(definition.module, feeds, dynamo=True, verbose=False)
        assert program is not None
        program.save(folder / f"{name}.onnx")


def open_backend(peer: Peer, workload: Workload, folder: Path, *, threads: int | None) -> StockOnnxBackend:
    """See `Peer.open`."""
    import onnxruntime

    provider = PROVIDERS[peer.device]
    if provider not in onnxruntime.get_available_providers():
        raise ImportError(f"the installed ONNX Runtime has no {provider}")
    return StockOnnxBackend(folder, provider, tuple(workload.inputs), threads=threads)


class StockOnnxBackend(Backend):
    """See `Backend`; values stay NumPy arrays."""

    def __init__(self, folder: Path, provider: str, names: tuple[str, ...], *, threads: int | None) -> None:
        import onnxruntime

        self._library, self._folder, self._provider, self._threads = onnxruntime, folder, provider, threads
        self.names = names
        self.detail = f"ONNX Runtime {onnxruntime.__version__}, {provider}"

    def graph(self, name: str) -> Run:
        """See `Backend`."""
        options = self._library.SessionOptions()
        if self._threads is not None:
            options.intra_op_num_threads = self._threads
        session = self._library.InferenceSession(
            str(self._folder / f"{name}.onnx"), options, providers=[self._provider]
        )
        names = [node.name for node in session.get_inputs()]

        def run(values: Sequence[Any]) -> Sequence[Any]:
            outputs: Sequence[Any] = session.run(None, dict(zip(names, values)))
            return outputs

        return run
