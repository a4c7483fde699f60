"""What is compared: a bundle on an engine, or the PyTorch checkpoint. Both load to the same interface."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vljepa_apps.measure.cells import end_to_end, graph_cells, sample_frames
from vljepa_apps.measure.machine import engine_version
from vljepa_apps.measure.torch_model import TorchModel
from vljepa_evaluation.gates import judge_seal
from vljepa_model.shipped import checkpoint_folder

if TYPE_CHECKING:
    from vljepa_apps.measure.latency import Cells
    from vljepa_runtime import Model
    from vljepa_runtime.engines import Engine

__all__ = ["TORCH", "Subject"]

TORCH = "torch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One column of the table.

    Attributes:
        spec: A bundle's path or name, `torch` for the shipped checkpoint or `torch:CHECKPOINT` for another.
        engine: To run a bundle on, as for `vj.load`.
        threads: Threads on a CPU; None takes the engine's own choice.
        allow_fallback: Whether another engine may take its place.
    """

    spec: str
    engine: str = "auto"
    threads: int | None = None
    allow_fallback: bool = False

    @property
    def is_torch(self) -> bool:
        """Whether this is a checkpoint rather than a bundle."""
        return self.spec == TORCH or self.spec.startswith(f"{TORCH}:")

    @property
    def label(self) -> str:
        """Short name for tables."""
        if self.is_torch:
            return self.spec if self.spec == TORCH else f"{TORCH}:{Path(self.spec[6:]).name}"
        return Path(self.spec).name.removesuffix(".vljepa")

    def load(self) -> Model | TorchModel:
        """The model, ready to run."""
        if self.is_torch:
            return TorchModel(checkpoint_folder(self.spec[6:] or "tiny"), threads=self.threads)
        import vljepa_runtime as vj

        return vj.load(self.spec, **self._engine)

    def cells(self, model: Model | TorchModel | None = None) -> Cells:
        """Everything that can be timed.

        Args:
            model: What `load` gave; None loads it.
        """
        model, frames = model or self.load(), sample_frames()
        whole = end_to_end(model, frames)
        if isinstance(model, TorchModel):
            return {**model.cells(frames), **whole}
        return {**graph_cells(model, self.open_engine(model)), **whole}

    def facts(self, model: Model | TorchModel) -> dict[str, Any]:
        """What is known without measuring: what runs, precision, size, parity, what was edited since."""
        engine, parity, edits = model.engine_name, {}, list[str]()
        if isinstance(model, TorchModel):
            size = sum(file.stat().st_size for file in model.folder.iterdir())
            precision = {"all": "fp32 (eager)"}
        else:
            manifest = model.bundle.manifest
            engine = f"{engine} {engine_version(engine)}".strip()
            size = sum(spec.size for spec in manifest.files.values())
            precision = dict(manifest.precision)
            parity = {name: asdict(item) for name, item in manifest.parity.items()}
            edits = [*judge_seal(model.bundle).misses]
        facts = {
            "spec": self.spec,
            "engine": engine,
            "precision": precision,
            "parity": parity,
            "edits": edits,
        }
        return facts | {"size_bytes": size}

    def open_engine(self, model: Model) -> Engine:
        """The engine that runs a bundle's graphs, once more beside the model."""
        from vljepa_runtime.engines import open_engine

        return open_engine(
            self.engine,
            allow_fallback=self.allow_fallback,
            threads=self.threads,
            target=model.bundle.manifest.target,
        )

    @property
    def _engine(self) -> dict[str, Any]:
        return {"engine": self.engine, "threads": self.threads, "allow_fallback": self.allow_fallback}
