"""A bundle on an engine of this project: one that is named, or one that is exported for the measurement."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vljepa_apps.measure.peers.protocol import Backend, Float32, Run, UInt8
from vljepa_apps.measure.peers.table import Peer
from vljepa_apps.measure.peers.workload import Workload

if TYPE_CHECKING:
    from vljepa_runtime import SessionStats

__all__ = ["open_backend", "prepare"]

BUNDLE = "exported.vljepa"


def prepare(peer: Peer, workload: Workload, folder: Path) -> None:
    """Export the checkpoint as `vljepa export` does, without showing it scenes."""
    if "bundle" in peer.options:
        return
    from vljepa_export import export_bundle

    export_bundle(
        workload.checkpoint,
        folder / BUNDLE,
        format=peer.options["format"],
        precision=peer.options["precision"],
        scenes=None,
    )


def open_backend(peer: Peer, workload: Workload, folder: Path, *, threads: int | None) -> OurBackend:
    """See `Peer.open`."""
    bundle = peer.options.get("bundle", str(folder / BUNDLE))
    return OurBackend(
        bundle, tuple(workload.inputs), engine=peer.options.get("engine", "auto"), threads=threads
    )


class OurBackend(Backend):
    """See `Backend`; a window goes through `Model.embed`."""

    def __init__(self, bundle: str, names: tuple[str, ...], *, engine: str, threads: int | None) -> None:
        import vljepa_runtime as vj

        self._engine, self._threads = engine, threads
        self._model = vj.load(bundle, engine=engine, threads=threads)
        manifest = self._model.bundle.manifest
        self.names: Collection[str] = tuple(name for name in names if name in manifest.graphs)
        precisions = ", ".join(dict.fromkeys(manifest.precision.values()))
        self.detail = f"{self._model.engine_text}, {precisions}"

    def graph(self, name: str) -> Run:
        """See `Backend`; loaded a second time, beside the model."""
        from vljepa_runtime.engines import open_engine

        model = self._model
        graph = open_engine(self._engine, threads=self._threads, target=model.bundle.manifest.target).load(
            model.bundle, name
        )
        outputs = [spec.name for spec in graph.outputs]
        inputs = [spec.name for spec in graph.inputs]

        def run(values: Sequence[Any]) -> Sequence[Any]:
            found = graph.run(dict(zip(inputs, values)))
            return [found[name] for name in outputs]

        return run

    def embed(self, frames: UInt8) -> Float32 | None:
        """See `Backend`."""
        embedding: Float32 = self._model.embed(frames)
        return embedding

    def stream(self, path: str) -> SessionStats:
        """See `Backend`."""
        from vljepa_apps.measure.streaming import run_stream

        return run_stream(self._model, path)
