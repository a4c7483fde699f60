"""Models of public parts: the right tensors in the right places, and one sentence for parts that do not fit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from vljepa_model.assembly import Assembled, assemble, write_checkpoint
from vljepa_model.checkpoint import load_checkpoint, open_checkpoint
from vljepa_model.errors import CheckpointError


@pytest.fixture(scope="module")
def folders(public: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder per role: vision, llama, gemma, decoder."""
    root = tmp_path_factory.mktemp("parts")
    writers = {
        "vision": public.write_vision,
        "llama": public.write_llama,
        "gemma": public.write_gemma,
        "decoder": public.write_gemma3_lm,
    }
    for name, writer in writers.items():
        (root / name).mkdir()
        writer(root / name)
    add_pipeline(root / "gemma")
    return {name: root / name for name in writers}


def add_pipeline(folder: Path) -> None:
    """Modules as sentence-transformers writes them for EmbeddingGemma: 40 -> 72 -> 40."""
    kinds = ("Transformer", "Pooling", "Dense", "Dense", "Normalize")
    paths = ("", "1_Pooling", "2_Dense", "3_Dense", "4_Normalize")
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (kind, path) in enumerate(zip(kinds, paths))
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    for path in paths[1:]:
        (folder / path).mkdir()
    pooling = {
        "word_embedding_dimension": 40,
        "pooling_mode_mean_tokens": True,
        "pooling_mode_cls_token": False,
    }
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    torch.manual_seed(5)
    for path, rows, columns in (("2_Dense", 72, 40), ("3_Dense", 40, 72)):
        options = {"in_features": columns, "out_features": rows, "bias": False}
        options["activation_function"] = "torch.nn.modules.linear.Identity"
        (folder / path / "config.json").write_text(json.dumps(options))
        save_file({"linear.weight": torch.randn(rows, columns) * 0.2}, folder / path / "model.safetensors")


def put_together(folders: dict[str, Path], **changes: Any) -> Assembled:
    options: dict[str, Any] = {"layers": 2, "embedding_dim": 24, "frames": 4}
    places = {name: folders[name] for name in ("vision", "llama", "gemma")}
    return assemble(**{**places, **options, **changes})


def test_parts_become_a_checkpoint(folders: dict[str, Path], tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    assembled = put_together(folders, decoder=folders["decoder"], prefix=3)
    folder = write_checkpoint(
        assembled, tmp_path / "mine", progress=lambda done, total, _: seen.append((done, total))
    )
    loaded = load_checkpoint(folder)
    assert {role: path.name for role, path in loaded.tokenizers.items()} == {
        role: f"tokenizer.{role}.json" for role in ("predictor", "y_encoder", "y_decoder")
    }
    assert loaded.tokenizers["y_encoder"].read_bytes() == (folders["gemma"] / "tokenizer.json").read_bytes()
    assert loaded.metadata["importer"] == "parts"
    assert (loaded.preprocess.resize, loaded.preprocess.short_side) == ("antialias", 18)
    assert (loaded.preprocess.crop_offset, loaded.preprocess.sampling) == ("floor", "time")
    llama = load_file(folders["llama"] / "model.safetensors")
    assert torch.equal(loaded.model.predictor.embed.weight, llama["model.embed_tokens.weight"])
    down = llama["model.layers.1.mlp.down_proj.weight"]  # layers 1 and 2 of 3 were taken
    assert torch.equal(loaded.model.predictor.stack.blocks[0].down.weight, down)
    assert seen == sorted(seen)
    assert seen[-1][0] < seen[-1][1] <= open_checkpoint(folder).bytes
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1.2 * seen[-1][1]


def test_bf16_is_kept_and_norms_are_exact(folders: dict[str, Path], tmp_path: Path) -> None:
    narrow = tmp_path / "gemma"
    shutil.copytree(folders["gemma"], narrow)
    state = load_file(narrow / "model.safetensors")
    save_file({name: tensor.bfloat16() for name, tensor in state.items()}, narrow / "model.safetensors")
    folder = write_checkpoint(put_together({**folders, "gemma": narrow}), tmp_path / "mine")
    stored = load_file(folder / "model.safetensors")
    assert stored["y_encoder.stack.blocks.0.down.weight"].dtype == torch.bfloat16
    assert stored["x_encoder.blocks.0.fc1.weight"].dtype == torch.float32
    norm = stored["y_encoder.stack.norm.weight"]
    assert norm.dtype == torch.float32
    assert torch.equal(norm, state["norm.weight"].bfloat16().float() + 1.0)


def test_untrained_heads_depend_on_the_seed_alone(folders: dict[str, Path], tmp_path: Path) -> None:
    first, again, other = (
        load_checkpoint(
            write_checkpoint(put_together(folders, seed=seed), tmp_path / str(i))
        ).model.predictor.head
        for i, seed in enumerate((0, 0, 1))
    )
    assert torch.equal(first.weight, again.weight)
    assert not torch.equal(first.weight, other.weight)
    assert first.weight.std().item() == pytest.approx(0.02, rel=0.2)
    assert first.bias.abs().max().item() == 0


def test_the_pipeline_gives_the_public_sentence_embedding(
    folders: dict[str, Path], public: ModuleType, tmp_path: Path
) -> None:
    from transformers import Gemma3TextModel

    assembled = put_together(folders, pooling="pipeline", embedding_dim=40)
    ours = load_checkpoint(write_checkpoint(assembled, tmp_path / "mine")).model.y_encoder
    oracle = Gemma3TextModel.from_pretrained(folders["gemma"]).eval()
    dense = [
        load_file(folders["gemma"] / f"{n}_Dense" / "model.safetensors")["linear.weight"] for n in (2, 3)
    ]
    ids = torch.randint(3, 50, (3, 20))
    mask = torch.ones(3, 20, dtype=torch.long)
    mask[0, 4:] = 0
    with torch.no_grad():
        hidden = oracle(input_ids=ids, attention_mask=mask).last_hidden_state
        pooled = (hidden * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True)
        expected = F.normalize(pooled @ dense[0].T @ dense[1].T, dim=-1)
        got = ours(ids, mask)
    assert (got - expected).abs().max().item() < 1e-5
    wide = load_checkpoint(write_checkpoint(put_together(folders, pooling="pipeline"), tmp_path / "wide"))
    assert wide.model.y_encoder.head.weight.shape == (24, 40)


def test_own_decoder_and_untied_outputs(folders: dict[str, Path], public: ModuleType, tmp_path: Path) -> None:
    own = put_together(folders, decoder="own").config.decoder
    assert (own.stack.width, own.stack.vocab_size, own.tied) == (1024, 40, True)
    untied = tmp_path / "untied"
    untied.mkdir()
    oracle = public.write_llama(untied, tie_word_embeddings=False)
    folder = write_checkpoint(put_together(folders, decoder=untied, prefix=2), tmp_path / "mine")
    decoder = load_checkpoint(folder).model.y_decoder
    assert torch.equal(decoder.output.weight, oracle.lm_head.weight)
    assert not decoder.tied


def config(**changes: Any) -> Callable[[Path], None]:
    """Change values of a folder's config.json."""

    def apply(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return apply


def tensors(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    """Change a folder's tensors."""

    def apply(folder: Path) -> None:
        state = load_file(folder / "model.safetensors")
        change(state)
        save_file(state, folder / "model.safetensors")

    return apply


def dense(**changes: Any) -> Callable[[Path], None]:
    return lambda folder: config(**changes)(folder / "2_Dense")


def truncate(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def module(**changes: Any) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        modules = json.loads((folder / "modules.json").read_text())
        modules[2].update(changes)
        (folder / "modules.json").write_text(json.dumps(modules))

    return apply


LAST = "layers.3.mlp.down_proj.weight"


@pytest.mark.parametrize(
    ("role", "damage", "message"),
    [
        ("vision", lambda f: (f / "config.json").unlink(), "lacks config.json: name the whole model folder"),
        ("vision", config(model_type="llama"), "holds a 'llama' model: expected V-JEPA 2"),
        ("vision", config(hidden_act="silu"), "hidden_act = 'silu' is not supported"),
        ("vision", config(num_hidden_layers=3), "not a V-JEPA 2 encoder of 3 layers: 16 tensors missing"),
        ("vision", config(hidden_size=64), "tensors misshaped, first encoder.embeddings"),
        ("vision", config(hidden_size="wide"), "expected hidden_size to be int, got 'wide'"),
        ("vision", tensors(lambda s: s.update(extra=torch.zeros(1))), "1 tensors surplus, first extra"),
        ("vision", tensors(lambda s: s.clear()), "has no tensor encoder.embeddings"),
        ("vision", truncate, "not a readable safetensors file"),
        (
            "llama",
            config(model_type="mamba"),
            "holds a 'mamba' model: expected a text model of these families",
        ),
        ("llama", config(model_type="gpt2"), r"holds a 'gpt2' model: expected .*llama, mistral, qwen2"),
        ("llama", config(attention_bias=True), "8 tensors missing, first layers.1.self_attn.k_proj.bias"),
        ("llama", config(hidden_act="relu"), "hidden_act = 'relu' is not supported"),
        (
            "llama",
            config(
                model_type="mistral", sliding_window=5, rope_parameters={"rope_type": "linear", "factor": 2.0}
            ),
            "a window together with scaled rotary positions is not supported",
        ),
        (
            "llama",
            config(model_type="smollm3", use_sliding_window=True, sliding_window=5),
            "use_sliding_window = True is not supported: SmolLM 3 would slide",
        ),
        ("llama", config(model_type="smollm3", no_rope_layers=[1]), "expected 3 no_rope_layers of 0 or 1"),
        (
            "llama",
            config(model_type="phi", hidden_act="gelu", qk_layernorm=True),
            "qk_layernorm = True is not",
        ),
        (
            "llama",
            config(model_type="phi", hidden_act="silu"),
            "hidden_act = 'silu' is not supported: the MLP has",
        ),
        (
            "llama",
            config(rope_parameters={"rope_type": "yarn"}),
            "expected rope type default, linear or llama3, got",
        ),
        ("llama", config(rope_parameters={"rope_type": "linear"}), "the linear rope settings lack 'factor'"),
        ("llama", config(num_hidden_layers=1), "expected to take 1 to 1 layers, got 2"),
        ("llama", config(num_hidden_layers=2), "not a llama model of 2 layers: 9 tensors surplus"),
        (
            "llama",
            config(vocab_size=41),
            r"misshaped, first embed_tokens.weight \(40, 32\) instead of \(41, 32\)",
        ),
        ("llama", lambda f: (f / "tokenizer.json").unlink(), "lacks tokenizer.json"),
        ("llama", truncate, "not a readable safetensors file"),
        ("gemma", config(model_type="gemma2"), "use_bidirectional_attention = True is not supported"),
        ("gemma", config(layer_types=["full_attention"]), "expected 4 layer_types"),
        ("gemma", tensors(lambda s: s.pop(LAST)), f"1 tensors missing, first {LAST}"),
        ("gemma", module(type="x.CNN"), "expected the modules Transformer, Pooling, Dense, Normalize"),
        ("gemma", module(path="../llama"), "expected the modules"),
        ("gemma", dense(bias=True), "bias = True is not supported"),
        (
            "gemma",
            dense(activation_function="torch.nn.modules.activation.Tanh"),
            "expected an identity activation",
        ),
        ("gemma", dense(in_features=41), "expected 40 in_features, got 41"),
        ("gemma", lambda f: config(pooling_mode_cls_token=True)(f / "1_Pooling"), "expected mean pooling"),
        ("gemma", lambda f: (f / "modules.json").unlink(), "has no sentence-transformers pipeline"),
        ("decoder", config(tie_word_embeddings=False), "expected an output matrix lm_head.weight"),
        ("decoder", config(model_type="bloom"), "holds a 'bloom' model"),
    ],
)
def test_parts_that_do_not_fit(
    role: str, damage: Callable[[Path], None], message: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    damaged = tmp_path / role
    shutil.copytree(folders[role], damaged)
    damage(damaged)
    places = {**folders, role: damaged}
    with pytest.raises(CheckpointError, match=message) as caught:
        put_together(places, decoder=places["decoder"], pooling="pipeline")
    assert "\n" not in str(caught.value)


def test_unknown_pooling(folders: dict[str, Path]) -> None:
    with pytest.raises(CheckpointError, match="expected pooling mean or pipeline, got 'max'"):
        put_together(folders, pooling="max")
