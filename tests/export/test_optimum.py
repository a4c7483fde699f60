"""Optimum's exporter writes our graph of a V-JEPA 2 folder; runs in the environment of `make optimum`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import onnxruntime
import pytest
import torch

pytest.importorskip(
    "optimum.vljepa", reason="optimum-vljepa is not installed: `make optimum` makes its environment"
)

from optimum.utils import NormalizedConfigManager
from transformers import AutoConfig

from vljepa_export.graphs import x_encoder_definition
from vljepa_export.onnx_export import export_graph
from vljepa_model.families.published_config import PublishedConfig
from vljepa_model.families.text import stack_config
from vljepa_model.families.vision import open_vision
from vljepa_model.x_encoder import XEncoder
from vljepa_quant.graph_editor import save_bytes
from vljepa_runtime.preprocessing.patches import fit_frames, patchify
from vljepa_runtime.preprocessing.preprocess import Preprocess

CLI = Path(sys.executable).with_name("optimum-cli")


def exported(folder: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    task = ("--task", "feature-extraction")
    command = [str(CLI), "export", "onnx", "--model", str(folder), *task, *options, str(out)]
    told = {**os.environ, "TRANSFORMERS_VERBOSITY": "info"}
    return subprocess.run(command, capture_output=True, text=True, timeout=280, env=told)


@pytest.mark.slow
@pytest.mark.parametrize("biases", [True, False], ids=["biases", "no-biases"])
def test_the_command_writes_our_graph(biases: bool, public: ModuleType, tmp_path: Path) -> None:
    """Optimum's own comparison is with transformers' layers, over windows with tubelets left out."""
    oracle = public.write_vision(tmp_path / "vision", qkv_bias=biases)
    done = exported(tmp_path / "vision", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "Validating ONNX model" in done.stderr + done.stdout
    assert "max diff" not in done.stderr + done.stdout
    content = (tmp_path / "out" / "model.onnx").read_bytes()
    config, files, converters = open_vision(tmp_path / "vision", frames=4)
    ours = XEncoder(config).eval()
    ours.load_state_dict({name: c.convert(files).float() for name, c in converters.items()})
    assert content == save_bytes(export_graph(x_encoder_definition(ours, config)))
    pre = Preprocess(frames=4, size=16, patch=4)
    raw = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
    patches, positions = patchify(fit_frames(raw, pre))
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (got,) = session.run(None, {"patches": patches[None], "positions": positions[None]})
    video = (torch.from_numpy(raw).float() / 255 - torch.tensor(pre.mean)) / torch.tensor(pre.std)
    with torch.no_grad():
        expected = oracle.get_vision_features(video.permute(0, 3, 1, 2)[None])
    near = torch.cosine_similarity(torch.from_numpy(got).double(), expected.double(), dim=-1)
    assert near.min().item() >= 0.99999


@pytest.mark.slow
def test_other_types_are_left_to_our_own_command(public: ModuleType, tmp_path: Path) -> None:
    public.write_vision(tmp_path / "vision")
    done = exported(tmp_path / "vision", tmp_path / "out", "--dtype", "bf16")
    assert done.returncode != 0
    assert "expected --dtype fp32, got bf16: other precisions are written by `vljepa export`" in done.stderr


def test_sizes_of_text_families_are_those_of_optimum(public: ModuleType, tmp_path: Path) -> None:
    """Of the families that it knows by name."""
    known = 0
    for name, (kind, changes) in public.CAUSAL.items():
        try:
            normalized = NormalizedConfigManager.get_normalized_config_class(kind)
        except KeyError:
            continue
        config = AutoConfig.for_model(kind, **{**public.SIZES, **changes})
        config.save_pretrained(tmp_path / name)
        theirs = normalized(config)
        ours = stack_config(PublishedConfig.read(tmp_path / name))
        sizes = (theirs.hidden_size, theirs.num_layers, theirs.num_attention_heads, theirs.vocab_size)
        assert (ours.width, ours.depth, ours.heads, ours.vocab_size) == sizes, name
        known += 1
    assert known >= 5
