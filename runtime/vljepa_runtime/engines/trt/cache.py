"""Engines that were built here, kept by what they depend on: GPU, driver, library version, graph and recipe.

A miss is an error that names what differs; nothing is ever built behind the user's back.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from vljepa_runtime.bundle import Bundle
from vljepa_runtime.engines.trt.cuda import Cuda
from vljepa_runtime.engines.trt.library import Library
from vljepa_runtime.errors import GraphRefusedError, InputError
from vljepa_runtime.files.atomic import cache_file
from vljepa_runtime.files.records import read_record
from vljepa_runtime.files.strict_json import parse_json

__all__ = ["PORTABLE", "CachedEngine", "EngineCache", "Machine", "content_hash", "default_folder"]

# Compute capabilities of an engine of TensorRT for RTX that names none, as the vendor documents it for 1.4 to 1.7.
PORTABLE = "8.0 and later"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a built engine is tied to besides its graph.

    Attributes:
        gpu: Name of the GPU; `any` for an engine that is finished on the GPU it meets.
        compute_capability: `8.7`, or the ones that a portable engine is built for.
        driver: Version of the driver; `any` likewise.
        library: `tensorrt` or `tensorrt-rtx`.
        version: The library's; another version reads none of its engines.
    """

    gpu: str
    compute_capability: str
    driver: str
    library: str
    version: str

    @classmethod
    def here(cls, library: Library, device: Cuda) -> Machine:
        """This machine, with a library and a GPU that were found on it."""
        return cls(
            gpu=device.name,
            compute_capability=device.compute_capability,
            driver=device.driver,
            library=library.name,
            version=library.version,
        )

    @classmethod
    def portable(cls, library: Library, compute_capabilities: tuple[str, ...]) -> Machine:
        """What an engine of TensorRT for RTX is tied to: no GPU and no driver."""
        return cls(
            gpu="any",
            compute_capability=", ".join(compute_capabilities) or PORTABLE,
            driver="any",
            library=library.name,
            version=library.version,
        )

    def __str__(self) -> str:
        return f"{self.gpu} ({self.compute_capability}), driver {self.driver}, {self.library} {self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedEngine:
    """One built engine and what is known of it.

    Attributes:
        key: Name of its files.
        bundle: Name of the bundle.
        graph: Name of the graph.
        content: Hash of the graph's files in the bundle, the recipe among them.
        machine: What it was built for.
        precision: As the recipe names it.
        profiles: How many the recipe has.
        graph_bytes: Size of the ONNX file.
        engine_bytes: Size of the engine.
        sha256: Of the engine's bytes, compared before it is loaded.
        seconds: What building took.
        layers: One line about its layers.
    """

    key: str
    bundle: str
    graph: str
    content: str
    machine: Machine
    precision: str
    profiles: int
    graph_bytes: int
    engine_bytes: int
    sha256: str
    seconds: float
    layers: str


def default_folder() -> Path:
    """Where engines are kept unless told otherwise."""
    return Path.home() / ".cache" / "vljepa" / "engines"


def content_hash(bundle: Bundle, graph: str) -> str:
    """Hash of a graph, its recipe and its other files; a new prompt or tokenizer does not change it."""
    spec = bundle.graph(graph)
    digests = [f"{name} {bundle.manifest.files[name].sha256}" for name in sorted((spec.file, *spec.external))]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


class EngineCache:
    """A folder of engines: `KEY.engine` with `KEY.json` beside it, each written whole or not at all."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or default_folder()

    @staticmethod
    def key(machine: Machine, content: str) -> str:
        """Name of the files of one engine."""
        return _digest([*asdict(machine).values(), content])[:32]

    def find(self, machine: Machine, content: str) -> CachedEngine | None:
        """What was built of this content for this machine."""
        return self._entry(self.folder / f"{self.key(machine, content)}.json")

    def require(self, machine: Machine, content: str, *, bundle: Bundle, graph: str) -> CachedEngine:
        """As `find`.

        Raises:
            GraphRefusedError: there is none; it says what differs from the nearest one.
        """
        if (entry := self.find(machine, content)) is not None:
            return entry
        others = [item for item in self.entries() if (item.bundle, item.graph) == (bundle.name, graph)]
        raise GraphRefusedError(
            f"no engine of {bundle.name}/{graph} is built for {machine}{_nearest(others, machine, content)}: "
            f"run  vljepa build {bundle.location} --engine {machine.library}"
        )

    def read(self, entry: CachedEngine) -> bytes:
        """The engine's bytes, hashed on the way.

        Raises:
            GraphRefusedError: the file is gone or damaged.
        """
        path = self.folder / f"{entry.key}.engine"
        try:
            engine = path.read_bytes()
        except OSError as error:
            raise GraphRefusedError(
                f"cannot read {path}: {error.strerror}: build it again with --force"
            ) from error
        if hashlib.sha256(engine).hexdigest() != entry.sha256:
            raise GraphRefusedError(f"{path} is damaged: build it again with --force")
        return engine

    def put(self, engine: bytes, **known: Any) -> CachedEngine:
        """Keep an engine.

        Args:
            engine: Serialised, as the builder gave it.
            **known: The fields of `CachedEngine` besides `key`, `sha256` and `engine_bytes`.
        """
        entry = CachedEngine(
            key=self.key(known["machine"], known["content"]),
            sha256=hashlib.sha256(engine).hexdigest(),
            engine_bytes=len(engine),
            **known,
        )
        # The description last: an engine without one does not count as built.
        self.write(f"{entry.key}.engine", engine)
        self.write(f"{entry.key}.json", json.dumps(asdict(entry), indent=2).encode())
        return entry

    def entries(self) -> Iterator[CachedEngine]:
        """Everything that is kept; what cannot be read is passed over, as if it had not been built."""
        for path in sorted(self.folder.glob("*.json")):
            if (entry := self._entry(path)) is not None:
                yield entry

    def extra(self, kind: str, machine: Machine, content: str = "") -> str:
        """File name of something that saves time but decides nothing: timings, kernels compiled on the spot."""
        return f"{kind}-{_digest([*asdict(machine).values(), content])[:32]}.cache"

    def read_extra(self, name: str) -> bytes:
        """Its content; empty when there is none yet."""
        path = self.folder / name
        return path.read_bytes() if path.is_file() else b""

    def write(self, name: str, content: bytes) -> None:
        """Write a file whole or not at all.

        Raises:
            GraphRefusedError: the folder cannot be written.
        """
        try:
            cache_file(self.folder / name, content)
        except OSError as error:
            raise GraphRefusedError(
                f"cannot write to {self.folder}: {error.strerror}: name a folder with --cache"
            ) from error

    def _entry(self, path: Path) -> CachedEngine | None:
        try:
            entry = read_record(CachedEngine, parse_json(path.read_bytes()), path.name, error=InputError)
        except (OSError, ValueError):
            return None
        return entry if (self.folder / f"{entry.key}.engine").is_file() else None


def _nearest(others: list[CachedEngine], machine: Machine, content: str) -> str:
    """What keeps the most similar engine from being used."""
    if not others:
        return ""
    best = max(others, key=lambda item: (item.content == content, _alike(item.machine, machine)))
    different = [
        f"{item.name.replace('_', ' ')} {getattr(best.machine, item.name)}"
        for item in fields(Machine)
        if getattr(best.machine, item.name) != getattr(machine, item.name)
    ]
    if best.content != content:
        different.append("another version of the bundle")
    return f" (there is one for {', '.join(different)})" if different else ""


def _alike(a: Machine, b: Machine) -> int:
    return sum(getattr(a, item.name) == getattr(b, item.name) for item in fields(Machine))


def _digest(parts: list[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
