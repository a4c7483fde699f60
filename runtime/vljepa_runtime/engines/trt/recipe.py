"""How an engine is to be built, as data that lies in the bundle beside its graph. Knows no library."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated

from vljepa_runtime.bundle import Bundle
from vljepa_runtime.errors import BundleError, InputError
from vljepa_runtime.files.records import AtMost, read_record
from vljepa_runtime.files.strict_json import parse_json
from vljepa_runtime.files.values import Name

__all__ = ["RECIPE_SUFFIX", "BuildRecipe", "Profile", "Range", "read_recipe"]

RECIPE_SUFFIX = ".build.json"
FORMAT = 1
MAX_BYTES = 1 << 20
MAX_PINNED = 1 << 16  # operators of a graph

Size = Annotated[int, AtMost(2**31 - 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Smallest, usual and largest shape of one input; kernels are chosen for the usual one."""

    min: tuple[Size, ...]
    opt: tuple[Size, ...]
    max: tuple[Size, ...]

    def __post_init__(self) -> None:
        ranks = {len(self.min), len(self.opt), len(self.max)}
        ordered = all(0 < a <= b <= c for a, b, c in zip(self.min, self.opt, self.max))
        if len(ranks) != 1 or not ordered:
            raise BundleError(
                f"expected shapes with 0 < min <= opt <= max, got {self.min}, {self.opt}, {self.max}: export again"
            )

    def holds(self, shape: tuple[int, ...]) -> bool:
        """Whether a shape lies between the smallest and the largest."""
        return len(shape) == len(self.min) and all(
            low <= size <= high for low, size, high in zip(self.min, shape, self.max)
        )


Profile = Mapping[Name, Range]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRecipe:
    """Everything a builder is told besides the graph.

    Attributes:
        precision: fp32, fp16, int8, fp8 or int4: what the graph's own types amount to.
        profiles: Shapes per input that the engine must take: a profile for each token budget and query length.
        strongly_typed: Types come from the graph and nothing else. False is for TensorRT before 10: the builder is
            then allowed the lower precision and told which operators stay in float32.
        pinned: Operators that the graph keeps in float32.
        workspace_mb: Scratch memory that one engine may take, so that a board with 8 GB can build it.
        optimization_level: 0 .. 5; higher tries more kernels and takes longer.
        timing_cache: Keep the times of kernels, so that the next build here is shorter. TensorRT only.
        compute_capabilities: What TensorRT for RTX builds for (`SM89`); empty for its portable default.
        format: Version of this layout.
    """

    precision: str
    profiles: tuple[Profile, ...]
    strongly_typed: bool = True
    pinned: Annotated[tuple[str, ...], AtMost(MAX_PINNED)] = ()
    workspace_mb: Size = 1024
    optimization_level: Size = 3
    timing_cache: bool = True
    compute_capabilities: tuple[str, ...] = ()
    format: Size = FORMAT

    def __post_init__(self) -> None:
        if self.format != FORMAT:
            raise BundleError(
                f"expected a build recipe of format {FORMAT}, got {self.format!r}: upgrade vljepa-edge or export again"
            )
        if not self.profiles or len({frozenset(profile) for profile in self.profiles}) != 1:
            raise BundleError(
                "expected at least one profile, all with the same inputs: export the bundle again"
            )

    def choose(self, graph: str, shapes: Mapping[str, tuple[int, ...]]) -> int:
        """The first profile that holds all shapes.

        Raises:
            InputError: none does.
        """
        for index, profile in enumerate(self.profiles):
            if all(profile[name].holds(shape) for name, shape in shapes.items() if name in profile):
                return index
        wanted = " or ".join(dict.fromkeys(map(_describe, self.profiles)))
        raise InputError(
            f"{graph}: expected {wanted}, got {_join(shapes)}: use one of these sizes or export again"
        )

    def to_json(self) -> bytes:
        """As written into a bundle."""
        return (json.dumps(asdict(self), indent=2) + "\n").encode()

    @classmethod
    def from_json(cls, data: bytes, where: str) -> BuildRecipe:
        """Read what `to_json` wrote.

        Raises:
            BundleError: it is not JSON, or a key is unknown, missing or of another type.
        """
        try:
            return read_record(cls, parse_json(data[:MAX_BYTES]), "recipe", error=InputError)
        except ValueError as error:
            raise BundleError(f"{where} is not a build recipe ({error}): export the bundle again") from error


def read_recipe(bundle: Bundle, graph_name: str) -> BuildRecipe:
    """The recipe that lies beside a graph.

    Raises:
        BundleError: the graph has none, or it cannot be read.
    """
    for name in bundle.graph(graph_name).external:
        if name.endswith(RECIPE_SUFFIX):
            return BuildRecipe.from_json(bundle.read(name), f"{bundle.name}/{name}")
    raise BundleError(
        f"{bundle.name}/{graph_name} has no build recipe (*{RECIPE_SUFFIX}): export the bundle again"
    )


def _describe(profile: Profile) -> str:
    parts = {}
    for name, item in profile.items():
        parts[name] = tuple(a if a == b else f"{a}..{b}" for a, b in zip(item.min, item.max))
    return _join(parts)


def _join(shapes: Mapping[str, tuple[object, ...]]) -> str:
    return ", ".join(f"{name} ({', '.join(map(str, shape))})" for name, shape in shapes.items())
