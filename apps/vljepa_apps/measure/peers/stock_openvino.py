"""OpenVINO's converter, and `nncf.quantize`, with their defaults: no recipe of this project."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vljepa_apps.measure.peers.protocol import Backend, Float32, Run
from vljepa_apps.measure.peers.table import Peer
from vljepa_apps.measure.peers.workload import Workload
from vljepa_runtime.engines.openvino_library import import_untracked, shared_core

__all__ = ["open_backend", "prepare"]


def prepare(peer: Peer, workload: Workload, folder: Path) -> None:
    """Convert every graph for the sizes of the workload, and quantise it where asked."""
    import torch

    openvino = import_untracked("openvino")
    quantise = "quantised" in peer.options
    nncf = import_untracked("nncf") if quantise else None
    for name, definition in workload.definitions().items():
        feeds = tuple(map(torch.from_numpy, workload.feeds(name)))
        shapes = [tuple(value.shape) for value in feeds]
        model = openvino.convert_model(definition.module.eval(), example_input=feeds, input=shapes)
        if nncf is not None:
            windows = [workload.feeds(name, sample) for sample in range(workload.samples)]
            model = nncf.quantize(model, nncf.Dataset(windows))
        openvino.save_model(model, folder / f"{name}.xml")


def open_backend(
    peer: Peer, workload: Workload, folder: Path, *, threads: int | None
) -> StockOpenVinoBackend:
    """See `Peer.open`."""
    computes = peer.options.get("computes", "")
    return StockOpenVinoBackend(folder, tuple(workload.inputs), computes=computes, threads=threads)


class StockOpenVinoBackend(Backend):
    """See `Backend`; values stay NumPy arrays, those of results are its own buffers."""

    def __init__(self, folder: Path, names: tuple[str, ...], *, computes: str, threads: int | None) -> None:
        version = import_untracked("openvino").__version__.split("-")[0]
        self._core, self._folder, self.names = shared_core(), folder, names
        able = "BF16" in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        kind = computes or ("bf16" if able else "f32")
        self._options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": kind}
        if threads is not None:
            self._options["INFERENCE_NUM_THREADS"] = threads
        self.detail = f"OpenVINO {version}, CPU, computes in {kind}"

    def graph(self, name: str) -> Run:
        """See `Backend`."""
        compiled = self._core.compile_model(self._folder / f"{name}.xml", "CPU", self._options)
        request = compiled.create_infer_request()

        def run(values: Sequence[Any]) -> Sequence[Any]:
            found = request.infer(list(values), share_inputs=True, share_outputs=True)
            return [found[index] for index in range(len(compiled.outputs))]

        return run

    def numpy(self, value: Any) -> Float32:
        """See `Backend`."""
        return np.array(value, np.float32)
