"""What a machine says of itself."""

from __future__ import annotations

import pytest

from vljepa_apps.measure.machine import has_bf16, machine
from vljepa_runtime.engines.openvino_library import shared_core


def test_a_processor_with_bfloat16_is_known_to_openvino_as_one() -> None:
    pytest.importorskip("openvino")
    assert not has_bf16() or "BF16" in shared_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@pytest.mark.parametrize(
    ("described", "expected"),
    [
        ("model name\t: Some Zen\nflags\t\t: fpu avx avx2 fma\n", False),
        ("model name\t: Some Xeon\nflags\t\t: avx512f avx512_bf16 amx_bf16 amx_tile\n", True),
        ("Features\t: fp asimd bf16 i8mm\n", True),
        ("Features\t: fp asimd\n", False),
        ("nothing of the kind\n", True),
    ],
    ids=["AVX2", "AMX", "Arm with bf16", "Arm", "says nothing"],
)
def test_bfloat16_is_read_from_what_the_kernel_says(
    monkeypatch: pytest.MonkeyPatch, described: str, expected: bool
) -> None:
    monkeypatch.setattr(
        "vljepa_apps.measure.machine._cpu_lines",
        lambda *names: [line for line in described.splitlines() if line.startswith(names)],
    )
    assert has_bf16() is expected
    assert machine()["cpu"]
