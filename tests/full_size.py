"""The real thing at real size, with random weights: written, imported, exported and compared. Not part of the suite.

    python tests/full_size.py write DIR         the public folders and an open-vljepa best.pt, about 9 GB
    python tests/full_size.py parity DIR        X-encoder and predictor against transformers, float32
    python tests/full_size.py compare DIR BUNDLE    an exported open-vljepa bundle against transformers
    python tests/full_size.py window BUNDLE     one window and its peak memory

Imports and exports themselves are `vljepa import` and `vljepa export`; docs/weights.md has the whole sequence.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

SEED = 0
LLAMA = {
    "model_type": "llama",
    "vocab_size": 128256,
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 64,
    "hidden_act": "silu",
    "max_position_embeddings": 131072,
    "rms_norm_eps": 1e-5,
    "rope_theta": 500000.0,
    "rope_scaling": {
        "rope_type": "llama3",
        "factor": 32.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    },
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "tie_word_embeddings": True,
}
GEMMA = {
    "model_type": "gemma3_text",
    "vocab_size": 262144,
    "hidden_size": 768,
    "intermediate_size": 1152,
    "num_hidden_layers": 24,
    "num_attention_heads": 3,
    "num_key_value_heads": 1,
    "head_dim": 256,
    "hidden_activation": "gelu_pytorch_tanh",
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000.0,
    "rope_local_base_freq": 10000.0,
    "query_pre_attn_scalar": 256,
    "sliding_window": 512,
    "_sliding_window_pattern": 6,
    "use_bidirectional_attention": True,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
VISION = {"model_type": "vjepa2", "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16}
KEPT, DIM = 8, 1536


def write(folder: Path) -> None:
    """Random weights in the layouts of the public files: bf16 text models, a float32 V-JEPA 2, best.pt in bf16."""
    import torch

    from vljepa_model.families.published_config import PublishedConfig
    from vljepa_model.families.text import stack_config, text_converters
    from vljepa_model.families.vjepa2 import vjepa2_config, vjepa2_converters
    from vljepa_model.tensor_files import write_tensors
    from vljepa_model.training.vocabulary import train_tokenizer

    state: dict[str, torch.Tensor] = {}
    for name, values in (("vision", VISION), ("llama", LLAMA), ("gemma", GEMMA)):
        place = folder / name
        place.mkdir(parents=True, exist_ok=True)
        (place / "config.json").write_text(json.dumps(values, indent=1))
        published = PublishedConfig(place / "config.json", dict(values))
        if name == "vision":
            converters = vjepa2_converters(vjepa2_config(published, frames=16))
        else:
            train_tokenizer(1024).save(str(place / "tokenizer.json"))
            converters = text_converters(published, stack_config(published))
        shapes = {
            source: shape for converter in converters.values() for source, shape in converter.sources.items()
        }
        kind = torch.float32 if name == "vision" else torch.bfloat16
        plan = {source: (kind, shape) for source, shape in shapes.items()}
        made = _Random(shapes, centred=name == "gemma")
        with (place / "model.safetensors").open("wb") as file:
            write_tensors(file, plan, made)
        if name == "llama":
            first = LLAMA["num_hidden_layers"] - KEPT
            for source in shapes:
                kept = source.replace(f"layers.{_layer(source)}.", f"layers.{_layer(source) - first}.")
                if _layer(source) >= first or _layer(source) < 0:
                    state[f"predictor.{kept}"] = made(source).bfloat16()
        if name == "gemma":
            state |= {f"y_encoder.model.{source}": made(source).bfloat16() for source in shapes}
        print(f"{place}: {sum(math.prod(shape) for shape in shapes.values()) / 1e6:.1f} M parameters")
    heads = {
        "predictor.vis_proj": (2048, 1024),
        "predictor.out_proj": (DIM, 2048),
        "y_encoder.projector": (DIM, 768),
    }
    shapes = {f"{name}.weight": shape for name, shape in heads.items()}
    shapes |= {f"{name}.bias": shape[:1] for name, shape in heads.items()}
    made = _Random(shapes, centred=False)
    state |= {name: made(name).bfloat16() for name in shapes}
    config = {
        "encoder": {"model_name": "facebook/vjepa2-vitl-fpc64-256", "output_dim": None, "frozen": True},
        "y_encoder": {"model_name": "google/embeddinggemma-300m", "proj_dim": DIM, "max_target_len": 64},
        "predictor": {
            "llama_name": "meta-llama/Llama-3.2-1B",
            "n_keep_layers": KEPT,
            "proj_dim": DIM,
            "max_query_len": 64,
            "disable_causal_mask": True,
        },
        "data": {"num_frames": 16, "image_size": 256, "max_query_len": 64, "max_caption_len": 64},
        "training": {"temperature": 0.07},
    }
    torch.save({"epoch": 1, "loss": 1.0, "config": config, "model_state_dict": state}, folder / "best.pt")


def parity(folder: Path) -> None:
    """Worst token of ViT-L at 16 frames, dense and with half its tokens, and of the 8-layer predictor stack."""
    import torch
    from transformers import LlamaConfig, LlamaModel, VJEPA2Config, VJEPA2Model

    from vljepa_model.families.text import open_text
    from vljepa_model.families.vision import open_vision
    from vljepa_model.layers import TextStack, pad_bias
    from vljepa_model.x_encoder import XEncoder
    from vljepa_runtime.preprocessing.patches import fit_frames, patchify
    from vljepa_runtime.preprocessing.preprocess import Preprocess

    torch.manual_seed(SEED)
    config, files, converters = open_vision(folder / "vision", frames=16)
    with torch.device("meta"):
        ours = XEncoder(config).eval()
    ours.load_state_dict({name: c.convert(files).float() for name, c in converters.items()}, assign=True)
    theirs = VJEPA2Model(VJEPA2Config(pred_num_hidden_layers=1)).eval()
    theirs.load_state_dict({name: files[name] for name in files}, strict=False)
    pre = Preprocess(frames=16, size=256, patch=16)
    raw = np.random.default_rng(SEED).integers(0, 256, (16, 256, 256, 3), dtype=np.uint8)
    patches, positions = map(torch.from_numpy, patchify(fit_frames(raw, pre)))
    video = (torch.from_numpy(raw).float() / 255 - torch.tensor(pre.mean)) / torch.tensor(pre.std)
    video = video.permute(0, 3, 1, 2)[None]
    kept = torch.randperm(len(patches))[: len(patches) // 2].sort().values[None]
    with torch.no_grad():
        visual = ours(patches[None], positions[None])
        _say("X-encoder, 16 frames, 2,048 tokens", visual, theirs.get_vision_features(video))
        hidden = theirs.encoder.embeddings(video)[:, kept[0]]
        for layer in theirs.encoder.layer:
            hidden = layer(hidden, kept)[0]
        part = ours(patches[kept], positions[kept])
        _say("X-encoder, 1,024 of the tokens", part, theirs.encoder.layernorm(hidden))
    del ours, theirs
    opened = open_text(folder / "llama", last=KEPT)
    converters = {k.removeprefix("stack."): p for k, p in opened.converters.items() if k.startswith("stack.")}
    with torch.device("meta"):
        stack = TextStack(opened.stack).eval()
    stack.load_state_dict(
        {name: c.convert(opened.files).float() for name, c in converters.items()}, assign=True
    )
    values = {**LLAMA, "num_hidden_layers": KEPT, "vocab_size": 8, "pad_token_id": None}
    oracle = LlamaModel(LlamaConfig(**{k: v for k, v in values.items() if k != "model_type"})).eval()
    first = LLAMA["num_hidden_layers"] - KEPT
    layers = {
        name.replace(f"layers.{_layer(name)}.", f"layers.{_layer(name) - first}."): opened.files[name].float()
        for name in opened.files
        if _layer(name) >= first or name == "norm.weight"
    }
    oracle.load_state_dict(layers, strict=False, assign=True)
    del layers
    x = torch.randn(1, 2048 + 64, 2048)
    mask = torch.ones(1, x.shape[1])
    mask[:, -40:] = 0
    bias = pad_bias(mask, x.dtype)
    with torch.no_grad():
        got = stack(x, bias=bias)
        del stack
        tables = oracle.rotary_emb(x, torch.arange(x.shape[1])[None])
        for layer in oracle.layers:
            x = layer(x, attention_mask=bias.expand(-1, 1, x.shape[1], -1), position_embeddings=tables)
        _say("predictor, 8 layers, 2,048 + 24 of 64 tokens", got[:, :-40], oracle.norm(x)[:, :-40])


def compare(folder: Path, bundle: Path) -> None:
    """The bundle of an imported best.pt against transformers' models called as PAPER.md 8.4 says."""
    import torch
    import torch.nn.functional as F
    from transformers import (
        Gemma3TextConfig,
        Gemma3TextModel,
        LlamaConfig,
        LlamaModel,
        VJEPA2Config,
        VJEPA2Model,
    )

    import vljepa_runtime as vj
    from vljepa_model.tensor_files import open_tensors
    from vljepa_runtime.tokenizer import Tokenizer

    state = open_tensors(folder / "best.pt").beneath("model_state_dict.")
    frames = np.random.default_rng(SEED + 1).integers(0, 256, (16, 256, 256, 3), dtype=np.uint8)
    reader = Tokenizer.from_file(folder / "llama" / "tokenizer.json")
    mean, std = torch.tensor((0.485, 0.456, 0.406)), torch.tensor((0.229, 0.224, 0.225))
    with torch.no_grad():
        eyes = VJEPA2Model(VJEPA2Config(pred_num_hidden_layers=1)).eval()
        weights = open_tensors(folder / "vision")
        eyes.load_state_dict({name: weights[name] for name in weights}, strict=False)
        video = ((torch.from_numpy(frames).float() / 255 - mean) / std).permute(0, 3, 1, 2)[None]
        visual = eyes.get_vision_features(video)
        del eyes
        part = state.beneath("predictor.")
        values = {k: v for k, v in LLAMA.items() if k != "model_type"}
        oracle = LlamaModel(LlamaConfig(**{**values, "num_hidden_layers": KEPT, "vocab_size": 8})).eval()
        oracle.load_state_dict(
            {name: part[name].float() for name in part if name.startswith(("layers.", "norm."))}, strict=False
        )
        ids = torch.from_numpy(reader.encode(["Describe the video."])[0][:, :4]).long()
        ids = ids[ids != reader.pad_id][None]
        query = part["embed_tokens.weight"][ids].float()
        x = torch.cat((_linear(visual, part, "vis_proj"), query), dim=1)
        tables = oracle.rotary_emb(x, torch.arange(x.shape[1])[None])
        for layer in oracle.layers:
            x = layer(x, attention_mask=torch.zeros(1, 1, x.shape[1], x.shape[1]), position_embeddings=tables)
        predicted = F.normalize(_linear(oracle.norm(x).mean(dim=1), part, "out_proj"), dim=-1)
        del oracle
        part = state.beneath("y_encoder.")
        values = {k: v for k, v in GEMMA.items() if k != "model_type"}
        gemma = Gemma3TextModel(Gemma3TextConfig(**values)).eval()
        model = part.beneath("model.")
        gemma.load_state_dict({name: model[name].float() for name in model})
        texts = ["a red ball rolls to the left", "two blue boxes"]
        ids, mask = map(torch.from_numpy, reader.encode(texts))
        hidden = gemma(input_ids=ids.long(), attention_mask=mask.long()).last_hidden_state
        pooled = (hidden * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True)
        targets = F.normalize(_linear(pooled, part, "projector"), dim=-1)
        del gemma
    model = vj.load(bundle, engine="onnxruntime:cpu")
    print(f"video: cosine {float(model.embed(frames) @ predicted[0].numpy()):.7f}")
    for text, row, wanted in zip(texts, model.embed_text(texts), targets.numpy()):
        print(f"text {text!r}: cosine {float(row @ wanted):.7f}")


def window(bundle: Path) -> None:
    """Embed one window of random frames and decode it, with times and peak memory."""
    import vljepa_runtime as vj
    from vljepa_runtime.peak_memory import peak_rss_mb

    def peak() -> float:
        return (peak_rss_mb() or 0.0) / 1e3

    started = time.monotonic()
    model = vj.load(bundle, engine="onnxruntime:cpu")
    loaded = time.monotonic()
    print(f"load {loaded - started:.1f} s, peak RSS {peak():.2f} GB")
    pre = model.preprocess
    frames = np.random.default_rng(SEED).integers(0, 256, (pre.frames, pre.size, pre.size, 3), dtype=np.uint8)
    embedding = model.embed(frames, "What is happening?")
    done = time.monotonic()
    print(
        f"one window of {pre.frames} frames of {pre.size} px: {done - loaded:.1f} s, peak RSS {peak():.2f} GB"
    )
    model.embed_text(["a red ball rolls to the left"])
    print(f"one text: {time.monotonic() - done:.1f} s, peak RSS {peak():.2f} GB")
    if model.has_decoder:
        done = time.monotonic()
        model.decode(embedding, max_tokens=8)
        print(f"decoder loaded, at most 8 tokens: {time.monotonic() - done:.1f} s, peak RSS {peak():.2f} GB")


class _Random:
    """Tensors drawn by name: matrices that keep the size of what goes through, norms near one."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], *, centred: bool) -> None:
        self.shapes, self.centred = shapes, centred

    def __call__(self, name: str) -> Any:
        import torch

        shape = self.shapes[name]
        seed = sum(ord(letter) * 31**i for i, letter in enumerate(name)) % 2**31
        draw = torch.randn(shape, generator=torch.Generator().manual_seed(seed + SEED))
        if "embed_tokens" in name:
            return draw * 0.03
        if len(shape) == 1:
            norm = "norm" in name and name.endswith("weight")
            return draw * 0.1 + (1.0 if norm and not self.centred else 0.0)
        return draw / math.sqrt(math.prod(shape[1:]))


def _layer(name: str) -> int:
    parts = name.split(".")
    return int(parts[parts.index("layers") + 1]) if "layers" in parts else -1


def _linear(x: Any, part: Any, name: str) -> Any:
    return x @ part[f"{name}.weight"].float().T + part[f"{name}.bias"].float()


def _say(what: str, ours: Any, theirs: Any) -> None:
    import torch

    cosine = torch.cosine_similarity(ours.double(), theirs.double(), dim=-1)
    print(
        f"{what}: worst token cosine {cosine.min().item():.8f}, max abs {(ours - theirs).abs().max().item():.2e}"
    )


if __name__ == "__main__":
    verb, *places = sys.argv[1:] or ["help"]
    verbs = {"write": write, "parity": parity, "compare": compare, "window": window}
    if verb not in verbs:
        raise SystemExit(__doc__)
    verbs[verb](*map(Path, places))
