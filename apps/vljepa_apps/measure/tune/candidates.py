"""What can be tried: engines and threads for each bundle, then token policies for those that are worth it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vljepa_apps.measure.machine import machine
from vljepa_runtime import contract
from vljepa_runtime.engines import families

if TYPE_CHECKING:
    from vljepa_runtime import Manifest

__all__ = ["CARRY_S", "Candidate", "Runtime", "budget_policies", "engines_for", "thread_counts"]

CARRY_S = 60.0  # what it costs was measured (docs/tokens.md); a trial is shorter, so five minutes would say the same
SHARES = (0.75, 0.5, 0.375, 0.25)  # of a window's tubelets


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """What is loaded once, in a process of its own.

    Attributes:
        bundle: A bundle's path or name.
        engine: As `vj.load` takes it.
        threads: The same.
    """

    bundle: str
    engine: str
    threads: int | None = None

    @property
    def name(self) -> str:
        """Short, for people."""
        threads = "" if self.threads is None else f" x{self.threads}"
        return f"{Path(self.bundle).name.removesuffix('.vljepa')} {self.engine}{threads}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One way to run a bundle.

    Attributes:
        runtime: What is loaded.
        tokens: As `Session` takes it.
        carry_s: The same.
    """

    runtime: Runtime
    tokens: str = "all"
    carry_s: float = 0.0

    @property
    def name(self) -> str:
        """Short, for people."""
        carry = f" carry {self.carry_s:g}" if self.carry_s else ""
        return f"{self.runtime.name} {self.tokens}{carry}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self.runtime), "tokens": self.tokens, "carry_s": self.carry_s}

    def with_tokens(self, tokens: Sequence[str], carries_s: Sequence[float]) -> Iterator[Candidate]:
        """The same runtime with each of the token policies."""
        for policy in tokens:
            for carry_s in carries_s:
                yield replace(self, tokens=policy, carry_s=carry_s)


def engines_for(target: str) -> tuple[str, ...]:
    """Engines that load such bundles and whose libraries are installed here; one may still fail to start."""
    return tuple(
        f"{family.name}:{device}" if device else family.name
        for family in families()
        if target in family.targets
        for device in family.available_devices()
    )


def thread_counts(engine: str) -> tuple[int | None, ...]:
    """How many threads are tried: of a processor one, all cores and what lies between; elsewhere its own choice."""
    if not engine.endswith(":cpu"):
        return (None,)
    cores = int(machine()["cores"])
    return tuple(sorted({1, max(1, cores // 4), max(1, cores // 2), cores}))


def budget_policies(manifest: Manifest) -> tuple[str, ...]:
    """Token policies, the most exact first; where graphs have fixed sizes, the counts that there are."""
    spec = manifest.graphs[contract.X_ENCODER]
    patches = next(each for each in spec.inputs if each.name == contract.PATCHES)
    if isinstance(patches.shape[1], int):
        return ("all",)
    if spec.token_budgets:
        counts = sorted(
            (count for count in spec.token_budgets if count < manifest.preprocess.tokens), reverse=True
        )
        return ("all", "static", *(f"budget:{count}" for count in counts))
    return ("all", "static", *(f"budget:{share:g}" for share in SHARES))
