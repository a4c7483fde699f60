"""What is compared: a bundle on an engine, or the PyTorch checkpoint. Both load to the same interface."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vljepa_apps.measure.latency_cells import end_to_end, graph_cells, sample_frames

if TYPE_CHECKING:
    from vljepa_apps.measure.latency import Cells
    from vljepa_apps.measure.torch_model import TorchModel
    from vljepa_runtime import Model

__all__ = ["TORCH", "Subject"]

TORCH = "torch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One column of the table.

    Attributes:
        spec: A bundle's path or name, `torch` for the shipped checkpoint or `torch:FOLDER` for another.
        engine: As for `vj.load`; PyTorch has its own.
        threads: Threads on a CPU.
        allow_fallback: As for `vj.load`.
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
            from vljepa_apps.measure.torch_model import TorchModel, shipped_checkpoint

            folder = Path(self.spec[6:]) if ":" in self.spec else shipped_checkpoint()
            return TorchModel(folder, threads=self.threads)
        import vljepa_runtime as vj

        return vj.load(
            self.spec, engine=self.engine, threads=self.threads, allow_fallback=self.allow_fallback
        )

    def cells(self) -> Cells:
        """Everything that can be timed, the model loaded."""
        model, frames = self.load(), sample_frames()
        whole = end_to_end(model, frames)
        if self.is_torch:
            return {**model.cells(frames), **whole}  # type: ignore[union-attr]
        graphs = graph_cells(
            model,  # type: ignore[arg-type]
            engine=self.engine,
            threads=self.threads,
            allow_fallback=self.allow_fallback,
        )
        return {**graphs, **whole}

    def facts(self, model: Model | TorchModel) -> dict[str, Any]:
        """What is known without measuring: what runs, precision, size, parity."""
        facts: dict[str, Any] = {
            "spec": self.spec,
            "engine": model.engine_name,
            "precision": {},
            "parity": {},
        }
        if self.is_torch:
            files = list(model.folder.iterdir())  # type: ignore[union-attr]
            size = sum(file.stat().st_size for file in files)
            return facts | {"size_bytes": size, "precision": {"all": "fp32 (eager)"}}
        manifest = model.bundle.manifest  # type: ignore[union-attr]
        parity = {name: asdict(item) for name, item in manifest.parity.items()}
        return facts | {
            "engine": f"{model.engine_name} {_version(model.engine_name)}".strip(),
            "size_bytes": sum(spec.size for spec in manifest.files.values()),
            "precision": dict(manifest.precision),
            "parity": parity,
        }


def _version(engine: str) -> str:
    """Version of the library behind an engine's name."""
    family = engine.partition(":")[0]
    for package in (family, f"{family}-gpu"):
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    return ""
