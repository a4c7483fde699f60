"""A bundle that claims too much: every command says so in one sentence of plain characters and exits with 1."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import vljepa_runtime as vj
from vljepa_apps.main import main

Parts = tuple[dict[str, Any], dict[str, Any]]


def manifest_name(parts: Parts) -> None:
    parts[0]["name"] = "tiny\x1b]0;x\x07\x1b[2J"


def manifest_batch(parts: Parts) -> None:
    parts[0]["graphs"]["y_encoder"]["inputs"][0]["shape"][0] = 10**8


def manifest_window(parts: Parts) -> None:
    parts[0]["preprocess"]["size"] = 12_000


def tokenizer_normaliser(parts: Parts) -> None:
    parts[1]["normalizer"] = {"type": "Sequence", "normalizers": [replacing("i", "i" * 20)] * 6}


def tokenizer_pattern(parts: Parts) -> None:
    pattern = {"Regex": r"^(\w+\s?)*\?$"}
    parts[1]["pre_tokenizer"] = {"type": "Split", "pattern": pattern, "behavior": "Removed", "invert": False}


def tokenizer_table(parts: Parts) -> None:
    parts[1]["model"]["vocab"]["a"] = 2000


def tokenizer_charsmap(parts: Parts) -> None:
    parts[1]["normalizer"] = {"type": "Precompiled", "precompiled_charsmap": "BAAAAAAAAAAA"}


def tokenizer_piece(parts: Parts) -> None:
    parts[1]["model"]["vocab"]["\x1b]8;;http://x\x07link"] = 700


def replacing(pattern: str, content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": {"String": pattern}, "content": content}


CHANGES = [
    *(manifest_name, manifest_batch, manifest_window, tokenizer_normaliser, tokenizer_pattern, tokenizer_table),
    *(tokenizer_charsmap, tokenizer_piece),
]  # fmt: skip


@pytest.mark.parametrize("archive", [True, False], ids=["zip", "folder"])
@pytest.mark.parametrize("change", CHANGES)
def test_every_command_refuses_it_in_one_sentence(
    hostile_bundles: ModuleType,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    change: Callable[[Parts], None],
    archive: bool,
) -> None:
    held = hostile_bundles.read_bundle()
    manifest, tokenizer = json.loads(held["bundle.json"]), json.loads(held["tokenizer.json"])
    change((manifest, tokenizer))
    bundle = hostile_bundles.write_hostile(
        tmp_path / "bad.vljepa",
        {"tokenizer.json": json.dumps(tokenizer).encode()},
        change=lambda values: values.update({k: v for k, v in manifest.items() if k != "files"}),
        archive=archive,
    )
    for command in (["run", bundle, "clip.mp4"], ["inspect", bundle], ["verify", bundle]):
        assert main([str(part) for part in command]) == 1
        out, err = capfd.readouterr()
        assert out == ""
        assert err.startswith("vljepa: ")
        assert err.count("\n") == 1
        assert err.rstrip("\n").isprintable()
    with pytest.raises(vj.BundleError):
        vj.load(bundle)


def test_a_reference_that_cannot_be_read(
    hostile_bundles: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """`inspect` and `verify` say so; what runs a bundle never reads it."""
    header = b'{"a": {"dtype": "F64", "shape": [2, 1e400], "data_offsets": [0, 16]}}'
    data = len(header).to_bytes(8, "little") + header + bytes(16)
    bundle = hostile_bundles.write_hostile(tmp_path / "bad.vljepa", {"reference.safetensors": data})
    for command in ("inspect", "verify"):
        assert main([command, str(bundle)]) == 1
        assert "reference.safetensors holds no readable tensors (the number 1e400" in capfd.readouterr().err
    assert vj.load(bundle).embedding_dim == 256
