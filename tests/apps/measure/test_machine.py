"""What a machine says of itself."""

from __future__ import annotations

import pytest

from vljepa_apps.measure import machine
from vljepa_apps.measure.machine import has_bf16
from vljepa_runtime.engines.openvino_library import shared_core


def test_a_processor_with_bfloat16_is_known_to_openvino_as_one() -> None:
    pytest.importorskip("openvino")
    assert not has_bf16() or "BF16" in shared_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"avx2", "fma"}, False),
        ({"avx512f", "avx512_bf16", "amx_tile"}, True),
        ({"fp", "asimd", "bf16"}, True),
        ({"fp", "asimd"}, False),
        (set(), True),
    ],
    ids=["AVX2", "AMX", "Arm with bf16", "Arm", "says nothing"],
)
def test_bfloat16_is_among_what_a_processor_can(
    monkeypatch: pytest.MonkeyPatch, known: set[str], expected: bool
) -> None:
    monkeypatch.setattr(machine, "abilities", lambda: frozenset(known))
    assert has_bf16() is expected
