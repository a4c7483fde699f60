"""What a walk has found: constants that were compared, each once for each place that it is stored in, and faults."""

from __future__ import annotations

from dataclasses import dataclass, field

from vljepa_evaluation.gates import ConstantsProof
from vljepa_export.constants.foreign.compare import compare
from vljepa_export.constants.foreign.orders import Order
from vljepa_export.constants.foreign.stored import Array, Stored

__all__ = ["Ledger"]

MOST = 20  # faults that are told


@dataclass(slots=True)
class Ledger:
    """Constants and faults, as they are found."""

    _faults: list[str] = field(default_factory=list)
    _worst: float = 0.0
    _sizes: dict[str, int] = field(default_factory=dict)
    _quantised: set[str] = field(default_factory=set)
    _compared: set[tuple[str, int, Order]] = field(default_factory=set)

    def fault(self, text: str) -> None:
        """Note what is wrong, once."""
        if text not in self._faults:
            self._faults.append(text)

    def note(self, name: str, value: Array) -> None:
        """Count a constant of the float graph."""
        self._sizes[name] = value.size

    def compare(
        self, name: str, meant: Array, stored: Stored, *, order: Order, slack: float, called: str
    ) -> None:
        """Compare a constant, unless this very one has been.

        Args:
            name: In the float graph.
            meant: There.
            stored: In the artefact.
            order: See `compare`.
            slack: See `compare`.
            called: What the artefact calls it.
        """
        place = (name, id(stored.values), order)
        if place in self._compared and stored.gain is None:
            return
        self._compared.add(place)
        self.note(name, meant)
        if (meant.dtype.kind == "f") != stored.is_float:
            self.fault(f"{name}: expected {meant.dtype} numbers, got {stored.values.dtype} ({called})")
            return
        if stored.is_quantised:
            self._quantised.add(name)
        found = compare(meant, stored, order=order, slack=slack)
        self._worst = max(self._worst, found.worst_steps)
        if found.fault:
            self.fault(f"{name}: {found.fault} ({called})")

    def proof(self, name: str, note: str) -> ConstantsProof:
        """All of it, of a graph."""
        more = len(self._faults) - MOST
        return ConstantsProof(
            name=name,
            compared=len(self._sizes),
            quantised=len(self._quantised),
            values=sum(self._sizes.values()),
            worst_steps=self._worst,
            faults=(*self._faults[:MOST], *((f"and {more} more",) if more > 0 else ())),
            note=note,
        )
