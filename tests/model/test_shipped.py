"""Shipped checkpoints are what their hashes say, and an installation without them says where they are."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from vljepa_model import CheckpointError, checkpoint_folder, shipped


def test_every_shipped_checkpoint_is_the_one_that_its_hash_names() -> None:
    assert {folder.name for folder in shipped.SHIPPED.iterdir() if folder.is_dir()} == set(shipped.WEIGHTS)
    for name, sha256 in shipped.WEIGHTS.items():
        content = (checkpoint_folder(name) / "model.safetensors").read_bytes()
        assert hashlib.sha256(content).hexdigest() == sha256


def test_a_wheel_says_where_its_checkpoint_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "SHIPPED", tmp_path / "checkpoints")
    with pytest.raises(CheckpointError, match=f"not in the installed wheel.*{shipped.WEIGHTS['tiny']}"):
        checkpoint_folder("tiny")


def test_a_folder_that_is_no_checkpoint_hides_no_shipped_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").mkdir()
    assert checkpoint_folder("tiny").parent == shipped.SHIPPED


def test_a_mistyped_name_is_put_right() -> None:
    with pytest.raises(CheckpointError, match=r"does not exist: did you mean 'tiny'\?; expected a folder"):
        checkpoint_folder("tinny")
