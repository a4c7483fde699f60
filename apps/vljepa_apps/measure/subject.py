"""What is compared: a bundle on an engine, or a line of another kind. All load to the same interface."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from vljepa_apps.measure.baselines.table import kind_of
from vljepa_apps.measure.cells import end_to_end, graph_cells, sample_frames
from vljepa_apps.measure.machine import engine_version
from vljepa_evaluation.gates import judge_seal

if TYPE_CHECKING:
    from vljepa_apps.measure.baselines.protocol import Baseline
    from vljepa_apps.measure.baselines.table import Kind
    from vljepa_apps.measure.latency import Cells
    from vljepa_runtime import Model
    from vljepa_runtime.engines import Engine

__all__ = ["TORCH", "Subject"]

TORCH = "torch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One column of the table.

    Attributes:
        spec: A bundle's path or name, or a line of another kind, as `baselines.table` has them: `torch:CHECKPOINT`.
        engine: To run a bundle on, as for `vj.load`.
        threads: Threads on a CPU; None takes the engine's own choice.
        allow_fallback: Whether another engine may take its place.
    """

    spec: str
    engine: str = "auto"
    threads: int | None = None
    allow_fallback: bool = False

    @property
    def kind(self) -> tuple[Kind, str] | None:
        """What it is and where it lies; None for a bundle."""
        return kind_of(self.spec)

    @property
    def is_bundle(self) -> bool:
        """Whether this is a bundle."""
        return self.kind is None

    @property
    def is_torch(self) -> bool:
        """Whether this is a checkpoint of this project."""
        return self.kind is not None and self.kind[0].name == TORCH

    @property
    def is_ours(self) -> bool:
        """Whether this is a model of this project, whatever runs it."""
        return self.is_bundle or self.is_torch

    @property
    def label(self) -> str:
        """Short name for tables."""
        if self.kind is None:
            return Path(self.spec).name.removesuffix(".vljepa")
        kind, place = self.kind
        return f"{kind.name}:{Path(place).name}" if ":" in self.spec else self.spec

    def prepare(self) -> None:
        """Make what loading needs and keeps, such as an export, so that loading can be timed."""
        if self.kind is not None:
            self.kind[0].prepare(self.kind[1])

    def load(self) -> Model | Baseline:
        """The model, ready to run."""
        if self.kind is not None:
            kind, place = self.kind
            return kind.open(place, threads=self.threads)
        import vljepa_runtime as vj

        return vj.load(self.spec, **self._engine)

    def cells(self, model: Model | Baseline | None = None) -> Cells:
        """Everything that can be timed.

        Args:
            model: What `load` gave; None loads it.
        """
        model, frames = model or self.load(), sample_frames()
        if self.is_bundle:
            bundle = cast("Model", model)
            return {**graph_cells(bundle, self.open_engine(bundle)), **end_to_end(bundle, frames)}
        return cast("Baseline", model).cells(frames)

    def facts(self, model: Model | Baseline) -> dict[str, Any]:
        """What is known without measuring: what runs, parameters, precision, size, parity, what was edited since."""
        if not self.is_bundle:
            known = cast("Baseline", model)
            return {
                "spec": self.spec,
                "engine": known.engine_name,
                "parity": {},
                "edits": [],
                **known.facts(),
            }
        bundle = cast("Model", model)
        manifest, engine = bundle.bundle.manifest, bundle.engine_name
        return {
            "spec": self.spec,
            "engine": f"{engine} {engine_version(engine)}".strip(),
            "precision": dict(manifest.precision),
            "parity": {name: asdict(item) for name, item in manifest.parity.items()},
            "edits": [*judge_seal(bundle.bundle).misses],
            "size_bytes": sum(spec.size for spec in manifest.files.values()),
        }

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
