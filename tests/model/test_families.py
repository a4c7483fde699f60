"""Public folders against transformers: the same numbers for the same inputs, several seeds each."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from vljepa_model.assembly import assemble, write_checkpoint
from vljepa_model.checkpoint import load_checkpoint
from vljepa_model.families.text import FAMILIES, TextFolder, open_text
from vljepa_model.families.vision import crop_offset, open_vision
from vljepa_model.layers import TextStack, TokenTable, pad_bias
from vljepa_model.x_encoder import XEncoder
from vljepa_model.y_decoder import YDecoder
from vljepa_runtime.preprocessing.clip_reader import read_clip
from vljepa_runtime.preprocessing.patches import fit_frames, patchify
from vljepa_runtime.preprocessing.preprocess import Preprocess

SEEDS = (0, 1, 2)
BAR = 0.99999


def worst_cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    return torch.cosine_similarity(a.double(), b.double(), dim=-1).min().item()


def load_stack(opened: TextFolder) -> tuple[TokenTable, TextStack]:
    state = {name: c.convert(opened.files).float() for name, c in opened.converters.items()}
    table = TokenTable(opened.published.get("vocab_size", int), opened.stack)
    table.load_state_dict({"weight": state.pop("embed.weight")})
    stack = TextStack(opened.stack).eval()
    stack.load_state_dict({name.removeprefix("stack."): tensor for name, tensor in state.items()})
    return table, stack


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("changes", "frames", "size"),
    [
        pytest.param({}, 2, 16, id="one-tubelet"),
        pytest.param({"qkv_bias": False}, 6, 16, id="no-biases"),
        pytest.param({"crop_size": 24, "mlp_ratio": 48 / 11}, 4, 24, id="giant-ratio-larger-crop"),
        pytest.param({"hidden_size": 80, "num_attention_heads": 1}, 4, 16, id="head-80"),
    ],
)
def test_vision_folder_equals_vjepa2(
    changes: dict[str, Any], frames: int, size: int, seed: int, public: ModuleType, tmp_path: Path
) -> None:
    oracle = public.write_vision(tmp_path, seed=seed, **changes)
    config, files, converters = open_vision(tmp_path, frames=frames)
    ours = XEncoder(config).eval()
    ours.load_state_dict({name: c.convert(files).float() for name, c in converters.items()})
    pre = Preprocess(frames=frames, size=size, patch=4)
    raw = np.random.default_rng(seed).integers(0, 256, (frames, size, size, 3), dtype=np.uint8)
    patches, positions = map(torch.from_numpy, patchify(fit_frames(raw, pre)))
    video = (torch.from_numpy(raw).float() / 255 - torch.tensor(pre.mean)) / torch.tensor(pre.std)
    kept = torch.randperm(len(patches), generator=torch.Generator().manual_seed(seed))[
        : len(patches) // 2 + 1
    ]
    kept = kept.sort().values[None]
    with torch.no_grad():
        dense = oracle.get_vision_features(video.permute(0, 3, 1, 2)[None])
        assert worst_cosine(ours(patches[None], positions[None]), dense) >= BAR
        hidden = oracle.encoder.embeddings(video.permute(0, 3, 1, 2)[None])[:, kept[0]]
        for layer in oracle.encoder.layer:
            hidden = layer(hidden, kept)[0]
        expected = oracle.encoder.layernorm(hidden)
        got = ours(patches[kept], positions[kept])
    assert worst_cosine(got, expected) >= BAR
    assert len(kept[0]) == len(patches) or worst_cosine(got, dense[:, kept[0]]) < 0.999


@pytest.mark.parametrize(
    ("height", "width"), [(54, 96), (72, 96), (96, 54), (45, 47)], ids=["16:9", "4:3", "portrait", "odd"]
)
def test_a_file_reaches_v_jepa_2_as_its_processor_brings_it(
    height: int, width: int, public: ModuleType, lossless: ModuleType, tmp_path: Path
) -> None:
    """The processor's steps as transformers has them: antialiased to 18, the half of an odd margin cut off."""
    oracle = public.write_vision(tmp_path)
    config, files, converters = open_vision(tmp_path, frames=4)
    ours = XEncoder(config).eval()
    ours.load_state_dict({name: c.convert(files).float() for name, c in converters.items()})
    noise = torch.rand(4, 3, height // 3, width // 3, generator=torch.Generator().manual_seed(height))
    video = (torch.nn.functional.interpolate(noise, (height, width), mode="bilinear") * 255).round()
    path = lossless.write_lossless(
        tmp_path / "film.mkv", video.permute(0, 2, 3, 1).byte().numpy(), [0.0, 0.25, 0.5, 0.75], last_s=0.25
    )
    sides = [int(18 * side / min(height, width)) for side in (height, width)]
    fitted = torch.nn.functional.interpolate(video, sides, mode="bilinear", antialias=True)
    top, left = (int((side - 16) / 2.0) for side in sides)
    fitted = fitted[:, :, top : top + 16, left : left + 16].round()
    pre = Preprocess(
        frames=4, size=16, patch=4, resize="antialias", short_side=18, crop_offset=crop_offset(tmp_path)
    )
    clip = read_clip(path, pre)
    assert np.abs(clip.frames.astype(int) - fitted.permute(0, 2, 3, 1).int().numpy()).max() <= 1
    patches, positions = map(torch.from_numpy, patchify(clip))
    pixels = (fitted / 255 - torch.tensor(pre.mean)[:, None, None]) / torch.tensor(pre.std)[:, None, None]
    with torch.no_grad():
        got = ours(patches[None], positions[None])
        expected = oracle.get_vision_features(pixels[None])
    assert worst_cosine(got, expected) >= 0.9999


@pytest.mark.parametrize("last", [1, 3])
@pytest.mark.parametrize("seed", SEEDS)
def test_bidirectional_llama_layers(seed: int, last: int, public: ModuleType, tmp_path: Path) -> None:
    oracle = public.write_llama(tmp_path, seed=seed).model
    table, stack = load_stack(open_text(tmp_path, last=last))
    ids = torch.randint(0, 40, (2, 90), generator=torch.Generator().manual_seed(seed))
    mask = torch.ones(2, 90)
    mask[1, 60:] = 0
    bias = pad_bias(mask, torch.float32)
    with torch.no_grad():
        x = oracle.embed_tokens(ids)
        tables = oracle.rotary_emb(x, torch.arange(90)[None])
        for layer in oracle.layers[3 - last :]:
            x = layer(x, attention_mask=bias.expand(-1, 1, 90, -1), position_embeddings=tables)
        got = stack(table(ids), bias=bias)
        causal = stack(table(ids), bias=bias, causal=False)[:1, :5]
    assert worst_cosine(got, oracle.norm(x)) >= BAR
    assert torch.equal(causal, got[:1, :5])


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("length", [5, 7, 40], ids=["under-the-window", "at-the-window", "over-the-window"])
def test_bidirectional_gemma(length: int, seed: int, public: ModuleType, tmp_path: Path) -> None:
    oracle = public.write_gemma(tmp_path, seed=seed)
    opened = open_text(tmp_path)
    assert (opened.stack.window, opened.stack.local_blocks) == (7, (0, 2))
    table, stack = load_stack(opened)
    ids = torch.randint(3, 50, (2, length), generator=torch.Generator().manual_seed(seed))
    mask = torch.ones(2, length, dtype=torch.long)
    mask[1, length - 2 :] = 0
    with torch.no_grad():
        expected = oracle(input_ids=ids, attention_mask=mask).last_hidden_state
        got = stack(table(ids), bias=pad_bias(mask, torch.float32))
    assert worst_cosine(got[mask.bool()], expected[mask.bool()]) >= BAR


WRITERS = {"llama3": "write_llama", "gemma3": "write_gemma3_lm"}


def write_decoder(public: ModuleType, name: str, folder: Path, seed: int) -> Any:
    if name in WRITERS:
        return getattr(public, WRITERS[name])(folder, seed=seed)
    return public.write_causal(folder, name, seed=seed)


def load_decoder(folder: Path, parts: dict[str, Path], prefix: int) -> YDecoder:
    """As `vljepa import parts` writes it and a checkpoint is read."""
    assembled = assemble(**parts, decoder=folder, layers=2, embedding_dim=20, frames=4, prefix=prefix)
    checkpoint = load_checkpoint(write_checkpoint(assembled, folder / "imported"))
    decoder = checkpoint.model.y_decoder
    assert isinstance(decoder, YDecoder)
    return decoder.float().eval()


@pytest.fixture(scope="module")
def parts(public: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("parts")
    writers = {"vision": public.write_vision, "llama": public.write_llama, "gemma": public.write_gemma}
    for name, write in writers.items():
        (root / name).mkdir()
        write(root / name)
    return {name: root / name for name in writers}


CAUSAL = (
    "llama3", "llama", "smollm2", "smollm3", "mistral", "qwen2", "qwen2-windows", "qwen3", "gemma", "gemma2", "gemma3",
    "phi", "phi3", "phi3-part", "pythia", "pythia-in-turn", "starcoder2",
)  # fmt: skip


def test_every_family_is_compared(public: ModuleType) -> None:
    assert set(CAUSAL) == {*WRITERS, *public.CAUSAL}
    assert {kind for kind, _ in public.CAUSAL.values()} == set(FAMILIES) - {"gemma3_text"}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", CAUSAL)
def test_causal_decoder_behind_a_prefix(
    name: str, seed: int, public: ModuleType, parts: dict[str, Path], tmp_path: Path
) -> None:
    """Longer than the windows of those that have some; without and with a key-value cache."""
    oracle = write_decoder(public, name, tmp_path, seed)
    decoder = load_decoder(tmp_path, parts, prefix=3)
    torch.manual_seed(seed)
    decoder.prefix.weight.data.normal_(0.0, 0.15)
    embedding, ids = torch.randn(2, 20), torch.randint(3, 40, (2, 12))
    with torch.no_grad():
        start = oracle.get_input_embeddings()(torch.full((2, 1), decoder.bos_id))
        prefix = decoder.prefix(embedding).unflatten(-1, (3, -1))
        known = oracle.get_input_embeddings()(ids[:, :-1])
        expected = oracle(inputs_embeds=torch.cat((prefix, start, known), dim=1), use_cache=False).logits[
            :, 3:
        ]
        assert worst_cosine(decoder(embedding, ids), expected) >= BAR
        torch.testing.assert_close(decoder(embedding, ids), expected, atol=1e-3, rtol=1e-3)
        cached = oracle(inputs_embeds=torch.cat((prefix, start), dim=1), use_cache=True)
        logits, keys, values = decoder.prefill(embedding)
        assert worst_cosine(logits, cached.logits[:, -1]) >= BAR
        for step in range(11):
            token = ids[:, step : step + 1]
            cached = oracle(input_ids=token, past_key_values=cached.past_key_values, use_cache=True)
            logits, keys, values = decoder.step(token, keys, values)
            assert worst_cosine(logits, cached.logits[:, -1]) >= BAR
            assert worst_cosine(logits, expected[:, step + 1]) >= BAR
