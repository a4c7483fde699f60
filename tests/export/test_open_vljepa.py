"""A small open-vljepa checkpoint from file to bundle, against transformers' modules called as its source does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import nn
from transformers import Gemma3TextModel, LlamaForCausalLM, VJEPA2Model

import vljepa_runtime as vj
from vljepa_apps.main import main
from vljepa_export import effort, export_bundle
from vljepa_model.checkpoint import open_checkpoint
from vljepa_model.errors import CheckpointError
from vljepa_model.open_vljepa import open_open_vljepa

FRAMES, SIZE, PATCH, DIM, KEPT, LIMIT = 4, 32, 8, 24, 2, 7
MEAN, STD = torch.tensor((0.485, 0.456, 0.406)), torch.tensor((0.229, 0.224, 0.225))


class Reference(nn.Module):
    """The published model: transformers' modules and three linear layers."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.eyes = VJEPA2Model.from_pretrained(root / "vision").eval()
        llama = LlamaForCausalLM.from_pretrained(root / "llama").model.eval()
        self.embed, self.norm, self.rotary = llama.embed_tokens, llama.norm, llama.rotary_emb
        self.layers = llama.layers[-KEPT:]
        self.gemma = Gemma3TextModel.from_pretrained(root / "gemma").eval()
        torch.manual_seed(7)
        self.vis_proj, self.out_proj = nn.Linear(48, 32), nn.Linear(32, DIM)
        self.projector = nn.Linear(40, DIM)

    def state(self) -> dict[str, torch.Tensor]:
        """As `model_state_dict` holds it, without the frozen X-encoder."""
        parts: dict[str, nn.Module] = {
            "predictor.embed_tokens": self.embed,
            "predictor.layers": self.layers,
            "predictor.norm": self.norm,
            "predictor.vis_proj": self.vis_proj,
            "predictor.out_proj": self.out_proj,
            "y_encoder.model": self.gemma,
            "y_encoder.projector": self.projector,
        }
        return {f"{key}.{name}": t for key, part in parts.items() for name, t in part.state_dict().items()}

    def predict(self, video: np.ndarray, ids: list[int]) -> torch.Tensor:
        """(T, H, W, 3) uint8 and a query -> (DIM,)."""
        picks = np.linspace(0, len(video) - 1, FRAMES, dtype=int)
        frames = torch.from_numpy(video[picks]).permute(0, 3, 1, 2).float() / 255
        height, width = frames.shape[2:]
        sides = [side * SIZE // min(height, width) for side in (height, width)]
        frames = F.interpolate(frames, sides, mode="bilinear", antialias=True)
        top, left = (round((side - SIZE) / 2) for side in sides)
        frames = frames[:, :, top : top + SIZE, left : left + SIZE].permute(0, 2, 3, 1)
        frames = ((frames - MEAN) / STD).permute(0, 3, 1, 2)
        visual = self.eyes(frames[None], skip_predictor=True).last_hidden_state
        x = torch.cat((self.vis_proj(visual), self.embed(torch.tensor([ids]))), dim=1)
        tables = self.rotary(x, torch.arange(x.shape[1])[None])
        mask = torch.zeros(1, 1, x.shape[1], x.shape[1])
        for layer in self.layers:
            x = layer(x, attention_mask=mask, position_embeddings=tables)
        return F.normalize(self.out_proj(self.norm(x).mean(dim=1))[0], dim=-1)

    def target(self, ids: list[int]) -> torch.Tensor:
        """One text without padding -> (DIM,)."""
        hidden = self.gemma(input_ids=torch.tensor([ids])).last_hidden_state
        return F.normalize(self.projector(hidden.mean(dim=1))[0], dim=-1)


def options(**changes: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "encoder": {"model_name": "v", "output_dim": None, "frozen": True},
        "y_encoder": {"model_name": "g", "proj_dim": DIM, "max_target_len": LIMIT},
        "predictor": {
            "llama_name": "l",
            "n_keep_layers": KEPT,
            "proj_dim": DIM,
            "max_query_len": LIMIT,
            "disable_causal_mask": True,
        },
        "data": {"num_frames": FRAMES, "image_size": SIZE, "max_query_len": LIMIT, "max_caption_len": LIMIT},
        "training": {"temperature": 0.07},
    }
    return {key: {**part, **changes.get(key, {})} for key, part in plain.items()}


def save(root: Path, name: str, state: dict[str, torch.Tensor], config: dict[str, Any]) -> Path:
    torch.save({"epoch": 1, "loss": 2.0, "config": config, "model_state_dict": state}, root / name)
    return root / name


@pytest.fixture(scope="module")
def root(public: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The three public folders and best.pt."""
    root = tmp_path_factory.mktemp("open-vljepa")
    for name in ("vision", "llama", "gemma"):
        (root / name).mkdir()
    public.write_vision(root / "vision", crop_size=SIZE, patch_size=PATCH)
    public.write_llama(root / "llama")
    public.write_gemma(root / "gemma")
    save(root, "best.pt", Reference(root).state(), options())
    return root


def arguments(root: Path, file: str = "best.pt") -> list[str]:
    folders = [part for name in ("vision", "llama", "gemma") for part in (f"--{name}", str(root / name))]
    return ["import", "open-vljepa", str(root / file), *folders]


@pytest.fixture(scope="module")
def checkpoint(root: Path) -> Path:
    assert main([*arguments(root), "--out", str(root / "checkpoint"), "--name", "community"]) == 0
    return root / "checkpoint"


def words(root: Path, folder: str, text: str) -> list[int]:
    """Through the folder's own tokenizer: its template, cut at the trained length."""
    tokenizer = Tokenizer.from_file(str(root / folder / "tokenizer.json"))
    tokenizer.enable_truncation(LIMIT)
    ids: list[int] = tokenizer.encode(text).ids
    return ids


@pytest.mark.slow
def test_the_bundle_is_the_published_model(
    root: Path,
    checkpoint: Path,
    lossless: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    target = root / "fp32.vljepa"
    monkeypatch.setattr(effort, "LARGE", 0)  # as a checkpoint of this family has gigabytes
    report = export_bundle(checkpoint, target, precision="fp32")
    assert [graph.name for graph in report.graphs] == ["x_encoder", "predictor", "y_encoder"]
    model, reference = vj.load(target, engine="onnxruntime:cpu", threads=1), Reference(root)
    assert not model.has_decoder
    assert model.bundle.manifest.source.importer == "open-vljepa"
    assert model.prompts["retrieval"] == "Describe the video."
    rng = np.random.default_rng(0)
    queries = ["Describe the video.", "what is shown ?", "a red ball rolls left . a red ball rolls left ."]
    with torch.no_grad():
        for shape, query in zip([(9, 40, 52), (4, 32, 32), (7, 61, 37)], queries):
            video = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
            expected = reference.predict(video, words(root, "llama", query)).numpy()
            assert float(model.embed(video, query) @ expected) >= 0.9999, query
        for name, (count, height, width) in {"16:9": (90, 54, 96), "portrait": (37, 61, 34)}.items():
            video, times_s = lossless.numbered(count, height, width), film_times(count)
            video += rng.integers(0, 90, video.shape, dtype=np.uint8)
            path = lossless.write_lossless(tmp_path / f"{count}.mkv", video, times_s)
            expected = reference.predict(video, words(root, "llama", queries[0])).numpy()
            assert float(model.embed(vj.read_clip(path, model.preprocess)) @ expected) >= 0.9999, name
            capsys.readouterr()
            assert main(["embed", str(target), str(path), "--json"]) == 0
            told = json.loads(capsys.readouterr().out)["results"][0]["embedding"]
            assert float(np.float32(told) @ expected) >= 0.9999, name
        texts = ["a red ball", "the ball rolls left", "a red ball rolls left . what is shown ? the video ."]
        got = model.embed_text(texts)
        for text, row in zip(texts, got):
            assert float(row @ reference.target(words(root, "gemma", text)).numpy()) >= 0.9999, text
    assert float(got[0] @ got[1]) < 0.9999  # the comparison could have failed


def film_times(count: int) -> list[float]:
    """Times that no constant rate has."""
    return np.cumsum(np.random.default_rng(count).choice([0.02, 0.04, 0.5], count)).round(2).tolist()


@pytest.mark.parametrize("count", [1, 3, 4, 29, 300])
@pytest.mark.parametrize("suffix", ["mkv", "avi"])
def test_frames_are_picked_over_the_whole_file_by_number(
    count: int, suffix: str, checkpoint: Path, lossless: ModuleType, tmp_path: Path
) -> None:
    pre = open_checkpoint(checkpoint).preprocess
    times_s = film_times(count) if suffix == "mkv" else [number / 25 for number in range(count)]
    path = lossless.write_lossless(tmp_path / f"film.{suffix}", lossless.numbered(count), times_s)
    seen = lossless.numbers_of(vj.read_clip(path, pre).frames)
    assert seen == np.linspace(0, count - 1, FRAMES, dtype=int).tolist()


def test_the_checkpoint_says_how_it_was_trained(checkpoint: Path, root: Path) -> None:
    opened = open_checkpoint(checkpoint)
    assert opened.config.y_decoder is None
    assert (opened.preprocess.resize, opened.preprocess.short_side) == ("antialias", 0)
    assert (opened.preprocess.picks, opened.preprocess.frames) == ("floor", FRAMES)
    assert (opened.preprocess.sampling, opened.preprocess.crop_offset) == ("frames", "nearest")
    assert opened.metadata["name"] == "community"
    assert opened.config.pad_id == 15  # <|finetune_right_pad_id|>: the config names none


def test_a_projector_of_the_x_encoder_is_multiplied_in(root: Path, checkpoint: Path) -> None:
    torch.manual_seed(1)
    inner = nn.Linear(48, 20)
    outer = nn.Linear(20, 32)
    state = {
        **Reference(root).state(),
        "predictor.vis_proj.weight": outer.weight,
        "predictor.vis_proj.bias": outer.bias,
    }
    state |= {"x_encoder.projector.weight": inner.weight, "x_encoder.projector.bias": inner.bias}
    save(root, "projector.pt", {k: v.detach() for k, v in state.items()}, options(encoder={"output_dim": 20}))
    assert main([*arguments(root, "projector.pt"), "-o", str(root / "projector")]) == 0
    ours = open_checkpoint(root / "projector").predictor().visual
    x = torch.randn(3, 48)
    torch.testing.assert_close(ours(x), outer(inner(x)), atol=1e-5, rtol=1e-5)


def drop(*names: str) -> Callable[[dict[str, torch.Tensor]], object]:
    return lambda state: [state.pop(name) for name in names]


@pytest.mark.parametrize(
    ("change", "config", "message"),
    [
        (
            drop("predictor.norm.weight"),
            {},
            "not an open-vljepa checkpoint: 1 tensors missing, first predictor.norm",
        ),
        (
            lambda s: s.update({"x_encoder.model.encoder.layernorm.weight": torch.ones(48)}),
            {},
            "1 tensors surplus, first x_encoder.model.encoder.layernorm.weight",
        ),
        (
            lambda s: s.update({"y_encoder.projector.weight": torch.ones(3, 3)}),
            {},
            r"misshaped, first y_encoder.projector.weight \(3, 3\) instead of \(24, 40\)",
        ),
        (lambda s: None, {"predictor": {"disable_causal_mask": False}}, "a causal predictor"),
        (lambda s: None, {"predictor": {"proj_dim": 12}}, "different proj_dim"),
        (lambda s: None, {"predictor": {"n_keep_layers": 9}}, "expected to take 1 to 3 layers, got 9"),
        (
            lambda s: None,
            {"data": {"num_frames": "many"}},
            "expected config.data.num_frames above 0, got 'many'",
        ),
        (lambda s: None, {"training": {"temperature": 0.0}}, "expected a positive training.temperature"),
        (lambda s: s.clear(), {}, "expected `config` and `model_state_dict` in it"),
    ],
)
def test_other_checkpoints_are_refused(
    change: Callable[[dict[str, torch.Tensor]], object],
    config: dict[str, Any],
    message: str,
    root: Path,
    tmp_path: Path,
) -> None:
    state = Reference(root).state()
    change(state)
    file = save(tmp_path, "best.pt", state, options(**config))
    with pytest.raises(CheckpointError, match=message) as caught:
        open_open_vljepa(file, vision=root / "vision", llama=root / "llama", gemma=root / "gemma")
    assert "\n" not in str(caught.value)
