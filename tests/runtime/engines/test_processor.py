"""What a processor says of itself, and what engines do on one whose fast sums of 8-bit products are cut off."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from vljepa_runtime.engines import processor
from vljepa_runtime.engines.processor import abilities, cuts_off_sums, description, has_bf16

ZEN = (
    "processor\t: 0\nmodel name\t: Some Zen\nflags\t\t: fpu avx avx2 fma\n\nprocessor\t: 1\nflags\t\t: mmx\n"
)
SAID = {
    "AVX2": (ZEN, "x86_64", True),
    "VNNI": ("flags\t: avx2 avx512_vnni amx_bf16\n", "x86_64", False),
    "Arm": ("Features\t: fp asimd bf16 i8mm\n", "aarch64", False),
    "says nothing": ("nothing of the kind\n", "x86_64", False),
    "no such file": (None, "x86_64", False),
}


@pytest.mark.parametrize(("text", "machine", "expected"), SAID.values(), ids=SAID)
def test_sums_are_cut_off_on_x86_without_vnni(
    text: str | None, machine: str, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if text is not None:
        (tmp_path / "cpuinfo").write_text(text)
    monkeypatch.setattr(processor, "CPU_INFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert cuts_off_sums() is expected


def test_the_first_core_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cpuinfo").write_text(ZEN)
    monkeypatch.setattr(processor, "CPU_INFO", tmp_path / "cpuinfo")
    assert abilities() == {"fpu", "avx", "avx2", "fma"}
    assert description() == {"model name": "Some Zen", "flags": "fpu avx avx2 fma"}


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
    monkeypatch.setattr(processor, "abilities", lambda: frozenset(known))
    assert has_bf16() is expected


def test_a_processor_with_bfloat16_is_known_to_openvino_as_one() -> None:
    openvino = pytest.importorskip("openvino")
    assert not has_bf16() or "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
