"""Checkpoints: round trip, refusals, and that an interrupted write leaves the old file."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from vljepa_model.checkpoint import load_checkpoint, save_checkpoint
from vljepa_model.errors import CheckpointError
from vljepa_model.vl_jepa import VLJEPA
from vljepa_runtime.preprocessing.preprocess import Preprocess

PRE = Preprocess(frames=4, size=16, patch=4, fps=3.0)


@pytest.fixture
def folder(model: VLJEPA, tmp_path: Path) -> Path:
    """A checkpoint of the small model."""
    tokenizer = tmp_path / "words.json"
    tokenizer.write_text('{"a": 1}')
    return save_checkpoint(
        model,
        tmp_path / "checkpoint",
        dtype="fp32",
        tokenizer_file=tokenizer,
        preprocess=PRE,
        prompts={"caption": "What happens?"},
        metadata={"step": 7},
    )


def test_round_trip(model: VLJEPA, folder: Path) -> None:
    checkpoint = load_checkpoint(folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    assert checkpoint.config == model.config
    assert checkpoint.preprocess == PRE
    assert checkpoint.prompts == {"caption": "What happens?"}
    assert checkpoint.metadata == {"step": 7}
    assert checkpoint.tokenizer_file.read_text() == '{"a": 1}'
    assert not checkpoint.model.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(checkpoint.model.state_dict()[name], tensor), name


def test_half_precision_is_stored_and_read_as_float32(model: VLJEPA, folder: Path) -> None:
    full = (folder / "model.safetensors").stat().st_size
    save_checkpoint(model, folder, dtype="fp16", tokenizer_file=folder / "tokenizer.json")
    assert (folder / "model.safetensors").stat().st_size < 0.6 * full
    loaded = load_checkpoint(folder).model.state_dict()
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded[name], tensor.half().float()), name


def test_refuses_weights_that_float16_cannot_hold(model: VLJEPA, folder: Path) -> None:
    with torch.no_grad():
        model.predictor.head.bias[0] = 1e6
    with pytest.raises(
        CheckpointError, match=r"predictor.head.bias has values that torch.float16 cannot hold"
    ):
        save_checkpoint(model, folder, dtype="fp16", tokenizer_file=folder / "tokenizer.json")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "int8"}, "expected dtype fp16 or fp32, got 'int8'"),
        ({"metadata": {"x": object()}}, "plain JSON values"),
        ({"metadata": {"x": float("nan")}}, "plain JSON values"),
        ({"preprocess": Preprocess(frames=4, size=32, patch=4)}, "expected size 16, got 32"),
        ({"tokenizer_file": "nowhere.json"}, "cannot read the tokenizer nowhere.json"),
    ],
)
def test_refuses_to_save(model: VLJEPA, folder: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        save_checkpoint(model, folder, **{"tokenizer_file": folder / "tokenizer.json", **options})
    assert load_checkpoint(folder).metadata == {"step": 7}


def edit_config(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        path = folder / "config.json"
        plain = json.loads(path.read_text())
        change(plain)
        path.write_text(json.dumps(plain))

    return apply


def edit_weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        path = folder / "model.safetensors"
        state = safetensors.torch.load(path.read_bytes())
        change(state)
        path.write_bytes(safetensors.torch.save(state))

    return apply


def truncate(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-10])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "tokenizer.json").unlink(), "tokenizer.json is missing"),
        (lambda f: (f / "config.json").write_text("{"), "is not readable JSON"),
        (lambda f: (f / "config.json").write_text("[]"), "expected a JSON object, got list"),
        (edit_config(lambda c: c.update(format=3)), "expected checkpoint format 1 or 2, got 3"),
        (edit_config(lambda c: c.update(extra=2)), "unknown keys extra; known: format, model"),
        (edit_config(lambda c: c.update(prompts=2)), "prompts: expected an object, got 2"),
        (edit_config(lambda c: c["model"].update(extra=2)), "model: unknown keys extra"),
        (edit_config(lambda c: c["preprocess"].update(extra=2)), "unknown keys extra"),
        (edit_config(lambda c: c["preprocess"].update(size=20)), "expected size 16, got 20"),
        (truncate, "not a readable safetensors file"),
        (edit_weights(lambda s: s.pop("log_temperature")), "1 tensors missing, first log_temperature"),
        (edit_weights(lambda s: s.update(x=torch.zeros(1))), "1 tensors surplus, first x"),
        (
            edit_weights(lambda s: s.update(log_temperature=torch.zeros(2))),
            r"1 tensors misshaped, first log_temperature \(2,\) instead of \(\)",
        ),
    ],
)
def test_refuses_to_load(folder: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(folder)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(folder)


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is missing"):
        load_checkpoint(tmp_path / "nothing")


def test_interrupted_write_leaves_the_old_file(
    model: VLJEPA, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(model, folder, tokenizer_file=folder / "tokenizer.json", metadata={"step": 8})
    assert len(list(folder.iterdir())) == 3
    assert load_checkpoint(folder).metadata == {"step": 7}
